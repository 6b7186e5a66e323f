package flow_test

import (
	"fmt"
	"slices"
	"testing"

	"ataraxis.dev/landfall/agent/internal/flow"
)

// TestImagesOfEveryRememberedVersionAreKept, and not for ever.
func TestImagesOfEveryRememberedVersionAreKept(t *testing.T) {
	inBubble(t, func(b *bench) {
		var images []string
		deployed := func(target string) {
			b.deployed(target)
			images = append(images, b.World().Images["core/app"])
		}
		deployed(b.Head())
		for i := range 5 {
			deployed(b.Push(map[string]string{"app/main.go": fmt.Sprint("edition ", i)}))
		}
		pins := b.Pins()
		if slices.Contains(pins, images[0]) {
			t.Errorf("the image of the first of %d versions is kept for ever", len(images))
		}
		before := images[:len(images)-1] // what ran before each of the operations
		for _, image := range before[len(before)-flow.DefaultKeepVersions:] {
			if !slices.Contains(pins, image) {
				t.Errorf("%s is not kept: kept are %v of %v", image, pins, images)
			}
		}
	})
}
