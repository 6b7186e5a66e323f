package workflows

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"ataraxis.dev/landfall/shared/strictyaml"
	"ataraxis.dev/landfall/shared/workflow"
)

// holds checks that what was merged still says what was rendered: text around a region
// can give it another meaning, a block scalar above it or a key below it say.
func holds(path string, fresh, merged []byte) strictyaml.Problems {
	fail := func(line, column int, format string, args ...any) strictyaml.Problems {
		return strictyaml.Problems{{File: path, Line: max(1, line), Column: max(1, column), Message: fmt.Sprintf(format, args...)}}
	}
	if !strings.HasPrefix(path, Folder+"/") {
		var document yaml.Node
		if err := yaml.Unmarshal(merged, &document); err != nil {
			return fail(1, 1, "would not be valid any more: %s", err)
		}
		return nil
	}
	want, err := workflow.Parse(path, fresh)
	if err != nil {
		return fail(1, 1, "%s", err) // a template is broken; its test says so first
	}
	got, err := workflow.Parse(path, merged)
	if err != nil {
		var problems strictyaml.Problems
		if errors.As(err, &problems) {
			for i := range problems {
				problems[i].Message = "what stands around the marks breaks the file: " + problems[i].Message
			}
			return problems
		}
		return fail(1, 1, "%s", err)
	}
	for _, event := range want.On {
		if g := got.Event(event.Name); g == nil || !alike(event, *g) {
			return fail(got.OnAt.Line, got.OnAt.Column, "what stands around the marks changes the trigger %s", event.Name)
		}
	}
	if !alike(want.Permissions, got.Permissions) || !alike(want.Concurrency, got.Concurrency) {
		return fail(1, 1, "what stands around the marks changes permissions or concurrency")
	}
	for _, job := range want.Jobs {
		g := got.Job(job.Key.Value)
		if g == nil {
			return fail(1, 1, "what stands around the marks makes the job %s disappear", job.Key.Value)
		}
		if what := changed(job, *g); what != "" {
			return fail(g.Key.Line, g.Key.Column, "what stands around the marks changes %s of the job %s", what, job.Key.Value)
		}
	}
	return nil
}

// changed names what must be the same of a job and is not. Its steps may have others
// between them.
func changed(want, got workflow.Job) string {
	for _, part := range []struct {
		name      string
		want, got any
	}{
		{"name", want.Name, got.Name},
		{"if", want.If, got.If},
		{"needs", want.Needs, got.Needs},
		{"runs-on", want.RunsOn, got.RunsOn},
		{"permissions", want.Permissions, got.Permissions},
		{"concurrency", want.Concurrency, got.Concurrency},
		{"environment", want.Environment, got.Environment},
		{"timeout-minutes", want.Timeout, got.Timeout},
		{"strategy", want.Matrix, got.Matrix},
		{"continue-on-error", want.ContinueOnError, got.ContinueOnError},
	} {
		if !alike(part.want, part.got) {
			return part.name
		}
	}
	for _, step := range want.Steps {
		if !slices.ContainsFunc(got.Steps, func(g workflow.Step) bool { return alike(step, g) }) {
			return "a step"
		}
	}
	return ""
}

// alike compares without places.
func alike(a, b any) bool {
	return reflect.DeepEqual(placeless(reflect.ValueOf(a)), placeless(reflect.ValueOf(b)))
}

// placeless copies a value into plain ones, lines and columns left out.
func placeless(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return placeless(v.Elem())
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Line" && name != "Column" {
				fields[name] = placeless(v.Field(i))
			}
		}
		return fields
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range v.Len() {
			list[i] = placeless(v.Index(i))
		}
		return list
	case reflect.Map:
		entries := map[string]any{}
		for _, key := range v.MapKeys() {
			entries[key.String()] = placeless(v.MapIndex(key))
		}
		return entries
	default:
		return v.Interface()
	}
}
