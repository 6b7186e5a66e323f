package planpb

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/pipeline"
)

// filler fills every field of a value with something that occurs nowhere else.
type filler struct {
	n     int
	wants map[string]string // what the message must contain -> the field it comes from
}

func (f *filler) fill(v reflect.Value, path string) {
	f.n++
	token := fmt.Sprintf("token%dx", f.n)
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		v.SetInt(int64(time.Duration(70000+f.n) * time.Second))
		f.wants[fmt.Sprintf(`"%ds"`, 70000+f.n)] = path
	case v.Type() == reflect.TypeFor[json.RawMessage]():
		v.SetBytes(fmt.Appendf(nil, `{"a":{"b":[%q]}}`, token))
		f.wants[token] = path
	case v.Type() == reflect.TypeFor[pipeline.Phase]():
		v.SetString(string(pipeline.PhaseBuild))
		f.wants["PHASE_BUILD"] = path
	case v.Kind() == reflect.String:
		v.SetString(token)
		f.wants[token] = path
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(int64(10000 + f.n))
		f.wants[fmt.Sprint(10000+f.n)] = path
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), path)
	case v.Kind() == reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key, path+"{}")
		f.fill(value, path+"{}")
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case v.Kind() == reflect.Slice:
		f.fillSlice(v, path+"[]")
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	}
}

// fillSlice makes one entry; where an entry is one of several kinds, one of each.
func (f *filler) fillSlice(v reflect.Value, path string) {
	entry := reflect.New(v.Type().Elem()).Elem()
	f.fill(entry, path)
	if entry.Kind() != reflect.Struct {
		v.Set(reflect.Append(v, entry))
		return
	}
	kinds := 0
	for i := range entry.NumField() {
		if entry.Field(i).Kind() != reflect.Pointer {
			continue
		}
		kinds++
		one := reflect.New(entry.Type()).Elem()
		one.Set(entry)
		for k := range entry.NumField() {
			if k != i && one.Field(k).Kind() == reflect.Pointer {
				one.Field(k).SetZero()
			}
		}
		v.Set(reflect.Append(v, one))
	}
	if kinds == 0 {
		v.Set(reflect.Append(v, entry))
	}
}

// TestEveryFieldTravels fills a plan to the last field and finds each in the message. A
// field that is new in the plan fails here until it is in the message too.
func TestEveryFieldTravels(t *testing.T) {
	f := &filler{wants: map[string]string{}}
	plan := new(pipeline.Plan)
	f.fill(reflect.ValueOf(plan).Elem(), "Plan")
	if len(f.wants) < 60 {
		t.Fatalf("only %d fields are filled", len(f.wants))
	}
	message, err := FromPlan(plan)
	if err != nil {
		t.Fatal(err)
	}
	text, err := protojson.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	for want, field := range f.wants {
		// The version of the plan's shape is part of the digest only.
		if field != "Plan.Version" && !strings.Contains(string(text), want) {
			t.Errorf("%s is not in the message", field)
		}
	}
	if message.GetDigest() != plan.Digest() {
		t.Error("the digest is another one")
	}
	flags := 0 // booleans have no tokens
	for _, name := range []string{"anyDeploy", "restoreOwnership", "noCache", "pull", "noDeps", "forceRecreate", "noRecreate", "set"} {
		if strings.Contains(strings.ReplaceAll(string(text), " ", ""), fmt.Sprintf("%q:true", name)) {
			flags++
		}
	}
	if flags != 8 {
		t.Errorf("%d of 8 booleans are in the message", flags)
	}
	raw, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	if again := new(landfallv1.Plan); proto.Unmarshal(raw, again) != nil || !proto.Equal(again, message) {
		t.Error("the message does not survive the wire")
	}
}

func TestEveryPhaseHasAName(t *testing.T) {
	seen := map[landfallv1.Phase]bool{}
	for _, p := range pipeline.Phases() {
		name := phases[p]
		if name == landfallv1.Phase_PHASE_UNSPECIFIED || seen[name] {
			t.Errorf("%s is %s", p, name)
		}
		seen[name] = true
	}
}

func TestNoPlan(t *testing.T) {
	if message, err := FromPlan(nil); message != nil || err != nil {
		t.Errorf("%v, %v", message, err)
	}
	message, err := FromPlan(&pipeline.Plan{})
	if err != nil || message.GetDigest() == "" {
		t.Errorf("an empty plan: %v, %v", message, err)
	}
}

func TestExpectationThatIsNoJSON(t *testing.T) {
	probe := func(text string) error {
		_, err := probeOf(pipeline.Probe{Name: "web", HTTP: &pipeline.HTTPProbe{JSON: json.RawMessage(text)}})
		return err
	}
	for _, text := range []string{"{", "nonsense"} {
		if err := probe(text); err == nil || !strings.Contains(err.Error(), "web") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := probe(""); err != nil {
		t.Errorf("no expectation: %v", err)
	}
}
