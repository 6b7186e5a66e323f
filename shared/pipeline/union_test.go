package pipeline

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnion(t *testing.T) {
	stamp := []Change{{'M', "b"}, {'A', "d"}}
	moved := []Change{{'D', "d"}, {'M', "a"}}
	want := []Change{{'M', "a"}, {'M', "b"}, {'A', "d"}}
	if d := cmp.Diff(want, Union(stamp, moved)); d != "" {
		t.Error(d)
	}
	if stamp[0].Path != "b" || moved[0].Path != "d" {
		t.Error("the sets were changed")
	}
	if got := Union(nil, nil); len(got) != 0 {
		t.Errorf("nothing and nothing is %v", got)
	}
}

// TestAnEmptyChangeSetIsDeployed: a pushed revert changes nothing against what runs, and yet checkout and stamp
// have to move to it.
func TestAnEmptyChangeSetIsDeployed(t *testing.T) {
	config, _ := fleet(t, "reference")
	for _, c := range []struct {
		base string
		want bool
	}{{base, true}, {target, false}} {
		plan, err := Compile(config, Input{Base: c.base, Target: target})
		if err != nil {
			t.Fatal(err)
		}
		if plan.AnyDeploy != c.want {
			t.Errorf("from %s: any_deploy is %v", c.base, plan.AnyDeploy)
		}
	}
}
