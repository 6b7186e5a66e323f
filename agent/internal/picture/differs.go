package picture

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// differs says where what there is is not what the definition wants, "" where it is. What a definition leaves open is as
// the engine chose. Where Compose's own hash of the definition is known it decides: a network that has none stays as it is, and with
// another one it is made anew, also for what the fields do not show.
func (want NetworkSpec) differs(is NetworkSpec) string {
	if want.Hash != "" && (is.Hash == "" || is.Hash == want.Hash) {
		return ""
	}
	found := want.fields(is)
	if len(found) == 0 && want.Hash != "" {
		return "another definition than it was made from"
	}
	return strings.Join(found, "; ")
}

// fields compares what is known of a definition.
func (want NetworkSpec) fields(is NetworkSpec) []string {
	var found []string
	found = appendOther(found, "driver", want.Driver, is.Driver)
	found = append(found, otherMap("option", want.Options, is.Options)...)
	found = append(found, otherMap("label", want.Labels, is.Labels)...)
	if len(want.Subnets) > 0 && !slices.Equal(want.Subnets, is.Subnets) {
		found = append(found, fmt.Sprintf("subnets %s, it has %s", list(want.Subnets), list(is.Subnets)))
	}
	for _, b := range []struct {
		name     string
		want, is bool
	}{{"internal", want.Internal, is.Internal}, {"attachable", want.Attachable, is.Attachable}, {"enable_ipv6", want.IPv6, is.IPv6}} {
		if b.want != b.is {
			found = append(found, fmt.Sprintf("%s %v, it has %v", b.name, b.want, b.is))
		}
	}
	return found
}

func (v VolumeSpec) differs(is VolumeSpec) string {
	found := appendOther(nil, "driver", v.Driver, is.Driver)
	found = append(found, otherMap("option", v.Options, is.Options)...)
	found = append(found, otherMap("label", v.Labels, is.Labels)...)
	return strings.Join(found, "; ")
}

func appendOther(found []string, name, want, is string) []string {
	if want == "" || want == is {
		return found
	}
	return append(found, fmt.Sprintf("%s %s, it has %s", name, want, is))
}

// otherMap compares all keys: one that is there and not wanted is a difference as well. Values are not told: options of drivers
// hold passwords.
func otherMap(name string, want, is map[string]string) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(want)), maps.Keys(is))
	slices.Sort(keys)
	var found []string
	for _, key := range slices.Compact(keys) {
		w, wanted := want[key]
		i, there := is[key]
		switch {
		case wanted && !there:
			found = append(found, fmt.Sprintf("%s %s is new", name, key))
		case !wanted:
			found = append(found, fmt.Sprintf("%s %s goes", name, key))
		case w != i:
			found = append(found, fmt.Sprintf("%s %s changes", name, key))
		}
	}
	return found
}

func list(of []string) string {
	if len(of) == 0 {
		return "none"
	}
	return strings.Join(of, " ")
}
