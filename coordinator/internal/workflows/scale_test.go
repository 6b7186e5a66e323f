package workflows

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// layers is a workflow of layers of jobs, each of which needs all of the layer before.
func layers(depth, width int, condition, last string) string {
	var b strings.Builder
	b.WriteString("on: [push, pull_request, issue_comment, workflow_run]\npermissions: {}\njobs:\n")
	for layer := range depth {
		for n := range width {
			fmt.Fprintf(&b, "  j%d_%d:\n    runs-on: ubuntu-latest\n", layer, n)
			if layer > 0 {
				b.WriteString("    needs: [")
				for m := range width {
					fmt.Fprintf(&b, "j%d_%d, ", layer-1, m)
				}
				b.WriteString("]\n")
			}
			if condition != "" {
				fmt.Fprintf(&b, "    if: %s\n", strings.ReplaceAll(condition, "BEFORE", fmt.Sprintf("j%d_0", max(0, layer-1))))
			}
			b.WriteString("    outputs: {x: \"${{ needs." + fmt.Sprintf("j%d_0", max(0, layer-1)) + ".outputs.x }}\"}\n    steps: [{run: make}]\n")
		}
	}
	b.WriteString(last)
	return b.String()
}

// checked is how much work it takes to judge files. It fails where that does not end.
func checked(t *testing.T, files []File) (conditions int, found []Finding) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // generous; what is not remembered takes years
	defer cancel()
	done := make(chan struct{})
	var c *checker
	go func() {
		defer close(done)
		c = newChecker(files, Options{})
		c.judge(ctx)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("judging does not end")
	}
	for _, s := range c.situations {
		conditions += s.work
	}
	for _, list := range c.gates {
		for _, s := range list {
			conditions += s.work
		}
	}
	return conditions, c.findings
}

// TestLayersAreJudgedOnce counts the conditions that are evaluated: a number that grows with the file, not with the paths in it.
func TestLayersAreJudgedOnce(t *testing.T) {
	const own = "  own: {needs: [j19_0, j19_1], runs-on: self-hosted, steps: [{run: 'echo ${{ needs.j19_0.outputs.x }}'}]}\n" +
		"  gate: {needs: [j19_0], runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n" +
		"  ship: {needs: [gate, j19_3], runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}\n"
	for _, condition := range []string{"", "always()", "github.event_name == 'push'", "always() && needs.BEFORE.result == 'success'", "'!cancelled() && needs.BEFORE.outputs.x == needs.BEFORE.result'"} {
		text := layers(20, 10, condition, own)
		conditions, _ := checked(t, []File{{Folder + "/a.yml", []byte(text)}})
		const jobs, scenarios = 203, 60
		if conditions > jobs*scenarios {
			t.Errorf("%q: %d conditions were evaluated", condition, conditions)
		}
	}
}

// TestCallersAreFollowedOnce: files that call one another, each all of them, and a ladder of such.
func TestCallersAreFollowedOnce(t *testing.T) {
	const count = 30
	var circle, ladder []File
	for n := range count {
		var calls, down strings.Builder
		for m := range count {
			call := fmt.Sprintf("  c%d: {uses: ./.github/workflows/w%d.yml, secrets: inherit, with: {t: \"${{ inputs.t }}\"}}\n", m, m)
			calls.WriteString(call)
			if m > n {
				down.WriteString(call)
			}
		}
		const own = "  own: {runs-on: self-hosted, steps: [{run: 'echo ${{ inputs.t }}'}]}\n"
		const on = "on: {workflow_call: {inputs: {t: {type: string}}, outputs: {o: {value: \"${{ jobs.own.outputs.o }}\"}}}, pull_request: , push: }\npermissions: {}\njobs:\n"
		circle = append(circle, File{fmt.Sprintf("%s/w%d.yml", Folder, n), []byte(on + calls.String() + own)})
		ladder = append(ladder, File{fmt.Sprintf("%s/w%d.yml", Folder, n), []byte(on + down.String() + own)})
	}
	for name, files := range map[string][]File{"circle": circle, "ladder": ladder} {
		conditions, found := checked(t, files)
		if conditions > count*count*100 || len(found) < count {
			t.Errorf("%s: %d conditions were evaluated, %d findings", name, conditions, len(found))
		}
	}
}

// TestActionsAreFollowedOnce: actions of the repository that use one another.
func TestActionsAreFollowedOnce(t *testing.T) {
	const count = 25
	files := []File{{Folder + "/w.yml", []byte(jobIn("pull_request_target", hosted+"steps: [{uses: ./a0, with: {x: \"${{ github.head_ref }}\"}}]"))}}
	for n := range count {
		var steps strings.Builder
		for m := range count {
			fmt.Fprintf(&steps, "  - {id: s%d, uses: ./a%d, with: {x: \"${{ inputs.x }} ${{ steps.s%d.outputs.o }}\"}}\n", m, m, max(0, m-1))
		}
		files = append(files, File{fmt.Sprintf("a%d/action.yml", n), []byte("inputs: {x: {}}\noutputs: {o: {value: \"${{ inputs.x }}\"}}\nruns:\n  using: composite\n  steps:\n" + steps.String() +
			"  - {shell: bash, run: 'echo ${{ inputs.x }} >> $GITHUB_ENV'}\n")})
	}
	if _, found := checked(t, files); len(found) == 0 {
		t.Error("nothing was found")
	}
}

// TestLongFilesAreJudged: many steps, jobs, gates, deployments and a long expression.
func TestLongFilesAreJudged(t *testing.T) {
	const many = 500
	var steps, gates, chain strings.Builder
	for n := range many {
		fmt.Fprintf(&steps, "    - {id: s%d, run: 'echo \"X%d=$X%d\" >> \"$GITHUB_ENV\"; echo \"o=$X0${{ steps.s%d.outputs.o }}\" >> $GITHUB_OUTPUT'}\n", n, n+1, n, max(0, n-1))
		fmt.Fprintf(&gates, "  g%d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n  d%d: {needs: [g%d], if: always(), runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}\n", n, n, n)
		fmt.Fprintf(&chain, "  c%d: {needs: [c%d], runs-on: ubuntu-latest, outputs: {o: \"${{ needs.c%d.outputs.o }}\"}, steps: [{run: make}]}\n", n, max(0, n-1), max(0, n-1))
	}
	for name, text := range map[string]string{
		"steps":      jobIn("pull_request_target", hosted+"env: {X0: \"${{ github.head_ref }}\"}\nsteps:\n"+strings.TrimPrefix(strings.ReplaceAll(steps.String(), "\n    -", "\n-"), "    ")),
		"gates":      "on: [push, schedule]\npermissions: {}\njobs:\n" + gates.String(),
		"chain":      "on: pull_request_target\npermissions: {}\njobs:\n" + chain.String() + "  own: {needs: [c499], runs-on: self-hosted}\n",
		"expression": jobIn("issues", "runs-on: self-hosted\nif: "+strings.Repeat("github.actor == 'x' || ", many)+"false\nsteps: [{run: 'echo ${{ "+strings.Repeat("github.actor || ", many)+"github.event.issue.title }}'}]"),
	} {
		if _, found := checked(t, []File{{Folder + "/a.yml", []byte(text)}}); len(found) == 0 {
			t.Errorf("%s: nothing was found", name)
		}
	}
}

// TestJudgementEndsWithItsContext.
func TestJudgementEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no more")
	cancel(why)
	if found, err := CheckContext(ctx, []File{{Folder + "/a.yml", []byte(layers(20, 10, "", ""))}}, Options{}); !errors.Is(err, why) || found != nil {
		t.Errorf("%v, %v", found, err)
	}
}

// TestHostileScripts: scripts that open whatever a shell can open, as often as a file has room for it, end neither the program
// nor its patience.
func TestHostileScripts(t *testing.T) {
	for _, opened := range []string{
		"(", "$(", "{ ", "if ", "while ", "! ", "$((", "${x:-", "a | ", "a && ", "\"$(", "[[ (", "f() ", "`\\", "1?", "-", "a;", "cat <<E\n$x\nE\n", "a=$a$b ", "x=$(echo $x)\n", "if a; then b; el", "<(", "case a in (", "$[",
	} {
		for _, before := range []string{"", "echo $((", "[[ "} {
			for _, size := range []int{1900, maxScript + 1000} { // the most that is opened and parsed, and what is not parsed any more
				if size > maxScript && before != "" {
					continue
				}
				script := before + strings.Repeat(opened, size/max(1, len(opened)/2))
				checked(t, []File{{Folder + "/a.yml", []byte(scriptIn("pull_request_target", "env: {x: \"${{ github.head_ref }}\"}\n", script))}})
			}
		}
	}
}

// FuzzScript looks for panics, and for scripts whose reading changes nothing.
func FuzzScript(f *testing.F) {
	for _, seed := range []string{"landfall-coordinator ci-gate || true", "echo \"${{ github.head_ref }}\"", "x=$(cat <<E\n$y\nE\n)", "a | while read b; do eval $b; done", "echo $X${{ env.X }}"} {
		f.Add(seed, "")
		f.Add(seed, "bash")
	}
	f.Fuzz(func(t *testing.T, script, shell string) {
		p := readScript(script, shell)
		if len(p.embeds) != len(placeholder.FindAllString(p.text, -1))-len(placeholder.FindAllString(script, -1)) && !strings.Contains(script, "__landfall_") {
			t.Errorf("%q: %d expressions", p.text, len(p.embeds))
		}
		file := strings.NewReplacer("\\", "\\\\", "\"", "\\\"", "\n", "\\n", "\r", "\\r", "\x00", "").Replace(strings.ToValidUTF8(script, ""))
		Check([]File{{Folder + "/a.yml", []byte("on: [pull_request_target, push]\npermissions: {}\njobs: {a: {runs-on: x, env: {X: \"${{ github.head_ref }}\"}, steps: [{id: a, run: \"" + file + "\"}, {run: \"" + file + "\"}, {run: landfall-coordinator deploy}]}}")}}, Options{})
	})
}
