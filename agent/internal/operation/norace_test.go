//go:build !race

package operation_test

const raceDetector = false
