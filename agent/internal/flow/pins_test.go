package flow_test

import (
	"fmt"
	"slices"
	"testing"

	"ataraxis.dev/landfall/agent/internal/flow"
)

// TestImagesOfEveryRememberedVersionAreKept, and of no other.
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
		for i, image := range images[:len(images)-1] {
			// What ran before each of the newest successful operations.
			if kept, want := slices.Contains(pins, image), i >= len(images)-1-flow.DefaultKeepVersions; kept != want {
				t.Errorf("image of version %d of %d: kept %v, want %v", i+1, len(images), kept, want)
			}
		}
	})
}
