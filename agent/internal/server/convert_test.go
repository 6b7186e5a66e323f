package server

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/converge"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/agent/internal/tick"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protoreflect"

	"ataraxis.dev/landfall/agent/internal/operation"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// words reads the constants of a string or number type from the domain's source: a word
// that is added there must not be forgotten here.
func words(t *testing.T, typeName string) []string {
	t.Helper()
	var files []string
	for _, domain := range []string{"../operation/*.go", "../picture/*.go", "../converge/*.go"} {
		some, err := filepath.Glob(domain)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, some...)
	}
	var found []string
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typeName {
				for _, v := range spec.Values {
					if literal, ok := v.(*ast.BasicLit); ok {
						found = append(found, strings.Trim(literal.Value, `"`))
					}
				}
			}
			return true
		})
	}
	if len(found) < 2 {
		t.Fatalf("the domain has only %q of %s", found, typeName)
	}
	return found
}

func TestEveryWordHasAForm(t *testing.T) {
	t.Parallel()
	faultKinds := make([]string, len(fault.Kinds()))
	for i, k := range fault.Kinds() {
		faultKinds[i] = strings.ReplaceAll(k.String(), " ", "_")
	}
	for _, c := range []struct {
		prefix string
		words  []string
		form   func(word string) protoreflect.Enum
		rename map[string]string // where the names differ
	}{
		{prefix: "OPERATION_KIND_", words: words(t, "Kind"), form: func(w string) protoreflect.Enum { return kinds[operation.Kind(w)] }},
		{prefix: "OPERATION_STATE_", words: words(t, "State"), form: func(w string) protoreflect.Enum { return stateOf(operation.State(w)) }},
		{prefix: "STEP_OUTCOME_", words: words(t, "StepOutcome"), form: func(w string) protoreflect.Enum { return stepOutcomes[operation.StepOutcome(w)] }},
		{prefix: "PROBE_OUTCOME_", words: words(t, "Verdict"), form: func(w string) protoreflect.Enum { return probeOutcomes[operation.ProbeOutcome(w)] }},
		{prefix: "TICK_OUTCOME_", words: words(t, "Outcome"), form: func(w string) protoreflect.Enum { return tickOutcomes[converge.Outcome(w)] }},
		{prefix: "DRIFT_KIND_", words: words(t, "DriftKind"), form: func(w string) protoreflect.Enum { return driftKinds[picture.DriftKind(w)] }},
		{prefix: "OUTPUT_STREAM_", words: words(t, "Stream"), rename: map[string]string{"1": "STDOUT", "2": "STDERR"}, form: func(w string) protoreflect.Enum {
			n, _ := strconv.Atoi(w)
			return streams[operation.Stream(n)]
		}},
		{prefix: "FAULT_KIND_", words: faultKinds, form: func(w string) protoreflect.Enum {
			for i, known := range faultKinds {
				if known == w {
					return faults[fault.Kind(i)]
				}
			}
			return faults[-1]
		}},
	} {
		unused := map[protoreflect.EnumNumber]bool{}
		values := c.form(c.words[0]).Descriptor().Values()
		for i := range values.Len() {
			unused[values.Get(i).Number()] = true
		}
		delete(unused, 0)
		for _, w := range c.words {
			want := c.rename[w]
			if want == "" {
				want = strings.ToUpper(w)
			}
			number := c.form(w).Number()
			value := values.ByNumber(number)
			if number == 0 || value == nil || string(value.Name()) != c.prefix+want {
				t.Errorf("%q becomes %d, want %s%s", w, number, c.prefix, want)
			}
			delete(unused, number)
		}
		for number := range unused {
			t.Errorf("%s stands for no word of the domain", values.ByNumber(number).Name())
		}
	}
	if stateOf("NO_SUCH_STATE") != 0 || kinds["no such kind"] != 0 {
		t.Error("an unknown word has a form")
	}
}

// inside are the fields that stay in the agent: recovery and rollback read them, callers
// do not. A field that is new must be carried by the wire or be named here.
var inside = map[string]bool{
	"Accepted.Everything": true, "Accepted.PlanDigest": true, "Accepted.AllowOlder": true, "Accepted.AskNewer": true, "Accepted.Undo": true,
	"Accepted.Signature": true, "Accepted.Stack": true, "Accepted.Services": true, "Accepted.Deeds": true, "Accepted.Image": true, "Accepted.Within": true,
	"Accepted.Moved": true, "Accepted.Judge": true, "PreDeploy.Before": true, "PreDeploy.Proven": true, "Operation.OutputBytes": true,
	"PreDeploy.Containers": true, "StepStarted.Before": true, "StepRecord.Before": true, "Operation.Alone": true,
	"Operation.Number": true, // part of the identifier
	"Pause.Before":     true, // comes back when this one goes, and is told then
}

// fill sets every field of a value that is not inside, each string to a text of its own
// that is returned.
func fill(v reflect.Value, texts *[]string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), texts)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1_700_000_000+int64(len(*texts)), 0)))
			return
		}
		for i := range v.NumField() {
			if !inside[v.Type().Name()+"."+v.Type().Field(i).Name] {
				fill(v.Field(i), texts)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), texts)
	case reflect.String:
		if v.Type() != reflect.TypeFor[string]() {
			v.SetString(someWord(v.Type()))
			return
		}
		text := fmt.Sprintf("text-%d-", len(*texts))
		*texts = append(*texts, text)
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(1)
	case reflect.Uint64:
		v.SetUint(77)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	}
}

// someWord is a word of the domain's types of words.
func someWord(t reflect.Type) string {
	return map[reflect.Type]string{
		reflect.TypeFor[operation.Kind]():         string(operation.KindMigrate),
		reflect.TypeFor[operation.State]():        string(operation.Applying),
		reflect.TypeFor[operation.StepOutcome]():  string(operation.StepInterrupted),
		reflect.TypeFor[operation.ProbeOutcome](): string(operation.ProbeWaiting),
	}[t]
}

// requireComplete fails unless the message carries every text, and has every field set
// that is not named in unset.
func requireComplete(t *testing.T, m protoreflect.Message, texts []string, unset ...protoreflect.Name) {
	t.Helper()
	shown := prototext.Format(m.Interface())
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			t.Errorf("%s is lost in %s:\n%s", text, m.Descriptor().Name(), shown)
		}
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.ContainingOneof() != nil || m.Has(f) {
			continue
		}
		known := false
		for _, name := range unset {
			known = known || name == f.Name()
		}
		if !known {
			t.Errorf("%s is not set", f.FullName())
		}
	}
}

func TestEveryEventConverts(t *testing.T) {
	t.Parallel()
	used := map[string]string{}
	facts := reflect.TypeFor[operation.Event]()
	for i := range facts.NumField() {
		field := facts.Field(i)
		if field.Type.Kind() != reflect.Pointer {
			continue
		}
		e := operation.Event{Sequence: 9, Time: time.Unix(1_600_000_000, 0)}
		var texts []string
		if field.Type == reflect.TypeFor[*pipeline.Plan]() {
			e.Plan = &pipeline.Plan{Project: "text-0-", Target: strings.Repeat("a", 40)}
			texts = []string{"text-0-", e.Plan.Target, e.Plan.Digest()}
		} else {
			fill(reflect.ValueOf(&e).Elem().Field(i), &texts)
		}
		got, err := eventOf(e)
		if err != nil {
			t.Errorf("%s: %v", field.Name, err)
			continue
		}
		if got.GetSequence() != 9 || got.GetEventTime().GetSeconds() != 1_600_000_000 || got.GetFact() == nil {
			t.Errorf("%s becomes %v", field.Name, got)
			continue
		}
		variant := reflect.TypeOf(got.GetFact()).Elem().Name()
		if used[variant] != "" {
			t.Errorf("%s and %s both become %s", used[variant], field.Name, variant)
		}
		used[variant] = field.Name
		m := got.ProtoReflect()
		fact := m.Get(m.WhichOneof(m.Descriptor().Oneofs().ByName("fact"))).Message()
		if e.Plan == nil {
			requireComplete(t, fact, texts)
		}
	}
	if want := (&landfallv1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("fact").Fields().Len(); len(used) != want {
		t.Errorf("the domain has %d facts, the protocol %d", len(used), want)
	}
}

func TestOperationAndServiceConvertCompletely(t *testing.T) {
	t.Parallel()
	var (
		op    operation.Operation
		told  ports.Notification
		texts []string
	)
	fill(reflect.ValueOf(&op).Elem(), &texts)
	fill(reflect.ValueOf(&told).Elem(), &texts)
	wire := operationOf(op, told)
	requireComplete(t, wire.GetNotifications()[0].ProtoReflect(), nil)
	requireComplete(t, wire.ProtoReflect(), texts)
	requireComplete(t, wire.GetSteps()[0].ProtoReflect(), nil)
	requireComplete(t, wire.GetProbes()[0].ProtoReflect(), nil)
	requireComplete(t, wire.GetFailure().ProtoReflect(), nil)
	requireComplete(t, wire.GetStates()[0].ProtoReflect(), nil)

	var service picture.Service
	texts = nil
	fill(reflect.ValueOf(&service).Elem(), &texts)
	service.Containers[0].State, service.Containers[0].Health, service.Containers[0].Up, service.Replicas = "running", "healthy", time.Hour, 1
	s := servicesOf([]picture.Service{service})[0]
	requireComplete(t, s.ProtoReflect(), texts[:4], "problem")
	requireComplete(t, s.GetContainers()[0].ProtoReflect(), []string{service.Containers[0].ID, service.Containers[0].Name, service.Containers[0].ImageID})

	var (
		pause   ports.Pause
		blocked ports.Blocked
	)
	texts = nil
	fill(reflect.ValueOf(&pause).Elem(), &texts)
	fill(reflect.ValueOf(&blocked).Elem(), &texts)
	var ticks tick.Status
	fill(reflect.ValueOf(&ticks).Elem(), &texts)
	ticks.Last.Outcome, ticks.Last.Drift[0].Kind, ticks.Last.Drift[0].Answer = converge.Deploy, picture.DriftFiles, pipeline.DriftReport
	ticks.Last.Plan = &pipeline.Plan{Version: pipeline.PlanVersion}
	status, err := gitopsOf(&pause, []ports.Blocked{blocked}, ticks)
	if err != nil {
		t.Fatal(err)
	}
	made, err := tickOf(*ticks.Last)
	if err != nil {
		t.Fatal(err)
	}
	requireComplete(t, status.ProtoReflect(), []string{pause.Reason, pause.Owner, pause.Operation, blocked.SHA, blocked.Operation, blocked.Reason, ticks.NotFollowed})
	requireComplete(t, made.ProtoReflect(), []string{ticks.Last.Message, ticks.Last.Requester, ticks.Last.Head, ticks.Last.Operation})
	requireComplete(t, made.GetDrift()[0].ProtoReflect(), []string{ticks.Last.Drift[0].Why})
	requireComplete(t, status.GetPause().ProtoReflect(), nil)
	requireComplete(t, status.GetBlocked().ProtoReflect(), nil)
	if empty, err := gitopsOf(nil, nil, tick.Status{}); err != nil || empty.GetPause() != nil || empty.GetBlocked() != nil {
		t.Errorf("nothing becomes %v", empty)
	}
}
