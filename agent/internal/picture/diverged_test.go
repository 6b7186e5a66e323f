package picture

import (
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

func TestDiverged(t *testing.T) {
	t.Parallel()
	proven := []Model{{Stack: "core", Project: "shop", Services: map[string]Spec{"app": {}, "db": {}}}}
	projects := map[string]string{"core": "shop"}
	for _, c := range []struct {
		name string
		now  Model
		want string
	}{
		{"the same", proven[0], ""},
		{"another project", Model{Stack: "core", Project: "folder", Services: map[string]Spec{"app": {}, "db": {}}}, `stack core was proven as compose project "shop" and is "folder"`},
		{"a file is gone", Model{Stack: "core", Project: "shop", Services: map[string]Spec{"app": {Missing: []string{"secret.txt"}}, "db": {}}}, "core/app needs secret.txt"},
		{"a service is gone", Model{Stack: "core", Project: "shop", Services: map[string]Spec{"app": {}}}, "shop/db was proven"},
	} {
		found := Diverged(projects, Keys(proven), []Model{c.now})
		if (c.want == "") != (len(found) == 0) || (c.want != "" && !strings.HasPrefix(found[0].Message, c.want)) {
			t.Errorf("%s: %v, want %q", c.name, found, c.want)
		}
	}
}

func TestLeaving(t *testing.T) {
	t.Parallel()
	if err := Leaving([]Model{{Stack: "core"}}); err != nil {
		t.Errorf("nothing leaves: %v", err)
	}
	err := Leaving([]Model{{Stack: "core"}, {Stack: "ops", Leaving: []string{".env"}}})
	if fault.ReasonOf(err) != "ENV_FILE_LEAVES" || fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), ".env") {
		t.Errorf("a file of variables leaves: %v", err)
	}
}
