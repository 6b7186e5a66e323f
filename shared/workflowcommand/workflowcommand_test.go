package workflowcommand

import "testing"

func TestAnnotation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		a    Annotation
		want string
	}{
		{"plain", Annotation{Level: "error", Message: "it broke"}, "::error::it broke"},
		{"all", Annotation{Level: "warning", Title: "T", File: "a.yml", Line: 3, Column: 7, Message: "m"}, "::warning file=a.yml,line=3,col=7,title=T::m"},
		{"hostile message", Annotation{Level: "error", Message: "a\n::add-mask::x\r\n100% ##[error]"}, "::error::a%0A::add-mask::x%0D%0A100%25 ## [error]"},
		{"hostile properties", Annotation{Level: "notice", Title: "a,file=b::c\n", File: "x:y,z%", Message: ""}, "::notice file=x%3Ay%2Cz%25,title=a%2Cfile=b%3A%3Ac%0A::"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := c.a.String(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestMaskIsOneLine(t *testing.T) {
	t.Parallel()
	if got, want := Mask("a\nb%"), "::add-mask::a%0Ab%25"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
