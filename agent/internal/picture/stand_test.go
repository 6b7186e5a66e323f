package picture

import "testing"

func TestStand(t *testing.T) {
	for name, c := range map[string]struct {
		stood *Stand
		ends  Stand
		told  string
		then  string
	}{
		"nobody knows":   {nil, Stand{"main", "aaa"}, "", ""},
		"on the branch":  {&Stand{"main", "bbb"}, Stand{"main", "aaa"}, "", ""}, // which is at the commit that is checked out
		"detached":       {&Stand{"", "bbb"}, Stand{"", "bbb"}, "HEAD is detached; main gets checked out", "HEAD was detached then; it is main that gets checked out now"},
		"without branch": {&Stand{"", ""}, Stand{"", ""}, "HEAD is detached; main gets checked out", "HEAD was detached then; it is main that gets checked out now"},
		"another branch": {&Stand{"mine", "bbb"}, Stand{"mine", "bbb"}, "branch mine is checked out; main gets checked out", "branch mine was checked out then; it is main that gets checked out now"},
	} {
		if got := (Move{Target: "aaa", Stood: c.stood}).Ends("main"); got != c.ends {
			t.Errorf("%s: ends as %+v, want %+v", name, got, c.ends)
		}
		if c.stood == nil {
			continue
		}
		if got := c.stood.Leaves("main", false); got != c.told {
			t.Errorf("%s: told %q", name, got)
		}
		if got := c.stood.Leaves("main", true); got != c.then {
			t.Errorf("%s: told %q of then", name, got)
		}
	}
}
