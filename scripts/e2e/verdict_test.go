package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// The property: whatever is done to a deploy, and whenever, a while after its end the host is what the end says. The environment sets
// LANDFALL_VERDICT, how many cases are tried, LANDFALL_VERDICT_SEED, and LANDFALL_VERDICT_ONLY, a part of the names of those that are.
const verdictCases = 16

// When a deploy is disturbed, and how.
var (
	phases       = []string{"prove", "build", "migrate", "recreate", "up", "verify", "soak", "rolling back"}
	disturbances = []string{"cancel", "deadline", "child killed", "agent killed", "both killed"}
	// What only a host with an engine of its own is tried with.
	engineDisturbances = []string{"engine restarted", "engine killed"}
)

// layout is what hosts differ in.
type layout struct {
	grace    time.Duration
	replicas int
	engine   bool // it has one of its own
}

// layouts are the hosts for so many cases. A stop of half a minute is for those who have the time.
func layouts(count int) []layout {
	all := []layout{{grace: time.Second, replicas: 1}, {grace: 10 * time.Second, replicas: 1}, {grace: time.Second, replicas: 3}, {grace: 10 * time.Second, replicas: 3}}
	if count > verdictCases {
		all = append(all, layout{grace: 30 * time.Second, replicas: 1})
	}
	return all
}

// verdictCase is one deploy that is disturbed.
type verdictCase struct {
	phase, disturbance string
	// What the commit does besides changing app, and what a person did before.
	worker, gate, job, leave, rename, stopped bool
	late                                      float64 // how far into the phase, 0 to 1
}

func (c verdictCase) String() string {
	var also []string
	for name, is := range map[string]bool{
		"worker of the same image": c.worker, "owner of a namespace": c.gate, "one-shot": c.job, "a service leaves or comes": c.leave, "stack renamed": c.rename, "worker was stopped": c.stopped,
	} {
		if is {
			also = append(also, name)
		}
	}
	slices.Sort(also)
	return fmt.Sprintf("%s in %s, %.2f into it; %s", c.disturbance, c.phase, c.late, strings.Join(also, ", "))
}

// verdictHost is a host on which one case follows another.
type verdictHost struct {
	*shop
	base     string // image
	grace    time.Duration
	replicas int
	n        int    // edition
	old      bool   // the service that leaves and comes is there
	stack    string // name of the stack
	editions map[string]int
	failed   int // that ended in ROLLBACK_FAILED, rightly
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("LANDFALL_VERDICT_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	count := verdictCases
	if s := os.Getenv("LANDFALL_VERDICT"); s != "" {
		var err error
		if count, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d cases; try them again with LANDFALL_VERDICT=%d LANDFALL_VERDICT_SEED=%d", count, count, seed)
	random := rand.New(rand.NewPCG(seed, seed))
	hosts := layouts(count)
	dealt := deal(random, count, hosts)
	own := layout{grace: 3 * time.Second, replicas: 1, engine: true}
	for i, cases := range append(dealt, draw(random, max(2, count/6), engineDisturbances)) {
		l := append(hosts, own)[i]
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			v := newVerdictHost(t, l)
			for _, c := range cases {
				if !t.Run(c.String(), func(t *testing.T) { v.disturbed(t, c) }) {
					return // the next would begin on a host that is not as it should be
				}
			}
			t.Logf("%d cases, %d of them ended in ROLLBACK_FAILED, rightly", len(cases), v.failed)
		})
	}
}

func (l layout) String() string {
	name := fmt.Sprintf("grace %s, %d replicas", l.grace, l.replicas)
	if l.engine {
		name += ", an engine of its own"
	}
	return name
}

// draw draws cases: every pair of phase and disturbance once before any comes twice.
func draw(random *rand.Rand, count int, disturbances []string) []verdictCase {
	var cases []verdictCase
	var pairs [][2]string
	for range count {
		if len(pairs) == 0 {
			for _, p := range phases {
				for _, d := range disturbances {
					pairs = append(pairs, [2]string{p, d})
				}
			}
			random.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
		}
		flip := func() bool { return random.IntN(3) == 0 }
		c := verdictCase{
			phase: pairs[0][0], disturbance: pairs[0][1], late: random.Float64(),
			worker: flip(), gate: flip(), job: flip(), leave: flip(), rename: flip(), stopped: flip(),
		}
		if pairs = pairs[1:]; strings.Contains(c.String(), os.Getenv("LANDFALL_VERDICT_ONLY")) {
			cases = append(cases, c)
		}
	}
	return cases
}

// deal gives each host its cases; a deadline while containers are changed goes to hosts whose containers take their time.
func deal(random *rand.Rand, count int, hosts []layout) [][]verdictCase {
	dealt := make([][]verdictCase, len(hosts))
	for n, c := range draw(random, count, disturbances) {
		at := slowLast[n%len(slowLast)] % len(hosts)
		if c.slowDeadline() && hosts[at].grace < 10*time.Second {
			at |= 1
		}
		dealt[at] = append(dealt[at], c)
	}
	return dealt
}

// slowLast gives hosts whose containers take ten seconds to stop fewer cases.
var slowLast = []int{0, 2, 1, 0, 2, 3, 4}

// slowDeadline reports whether the case needs containers that take longer to stop than the step may.
func (c verdictCase) slowDeadline() bool {
	return c.disturbance == "deadline" && slices.Contains([]string{"recreate", "up", "rolling back"}, c.phase)
}

func newVerdictHost(t *testing.T, l layout) *verdictHost {
	t.Helper()
	var own *engine
	if l.engine {
		own = newEngine(t)
	}
	base := strings.TrimSpace(run1(t, nil, "../images/busybox.sh"))
	v := &verdictHost{base: base, grace: l.grace, replicas: l.replicas, old: true, stack: "core", editions: map[string]int{"old": 1}}
	// The project's name is part of the files, because two stacks of one checkout have names of their own.
	h := newHost(t, "landfall.yaml", map[string]string{".gitignore": "data/\n"})
	h.engine = own
	v.shop = &shop{h}
	t.Cleanup(v.removePins)
	v.push("first edition", v.files(verdictCase{worker: true, gate: true, job: true, phase: "recreate"}))
	v.tree.Git("pull", "-q", "--ff-only", "origin", "main")
	v.compose("", nil, "--file", "compose.yml", "up", "--detach", "--build")
	v.compose("", nil, "--file", "extra/compose.yml", "up", "--detach")
	v.stamp(v.tree.Head())
	return v
}

// files is the next edition of the commit that a case wants.
func (v *verdictHost) files(c verdictCase) map[string]string {
	v.n++
	v.editions["app"] = v.n
	for name, is := range map[string]bool{"worker": c.worker, "gate": c.gate, "job": c.job} {
		if is {
			v.editions[name] = v.n
		}
	}
	if c.leave {
		if v.old = !v.old; v.old {
			v.editions["old"] = v.n
		}
	}
	if c.rename {
		v.stack = map[string]string{"core": "kernel", "kernel": "core"}[v.stack]
	}
	files := map[string]string{"compose.yml": v.composeFile(), "extra/compose.yml": v.extraFile(), "landfall.yaml": v.landfall(c)}
	for name, n := range v.editions {
		files[name+"/edition.txt"] = fmt.Sprint(n, "\n")
	}
	script, prepare, migrate := "trap '' TERM\ntouch /tmp/healthy\nwhile :; do sleep 1; done\n", "echo prepared\n", "echo migrated\n"
	switch {
	case c.disturbance == "deadline" && c.phase == "verify", c.phase == "rolling back":
		script = "trap '' TERM\nwhile :; do sleep 1; done\n"
	case c.disturbance == "deadline" && c.phase == "soak":
		script = "trap '' TERM\ntouch /tmp/healthy\nsleep 3\nexit 3\n"
	case c.slowDeadline():
		script = "touch /tmp/healthy\nwhile :; do sleep 1; done\n"
	case c.phase == "verify":
		script = "trap '' TERM\nsleep 2\ntouch /tmp/healthy\nwhile :; do sleep 1; done\n"
	}
	hangs := "echo working\nsleep 1\n"
	if c.disturbance == "deadline" {
		hangs = "echo hanging\nsleep 60\n"
	}
	switch c.phase {
	case "build":
		prepare = hangs
	case "migrate":
		migrate = hangs
	}
	files["app/Dockerfile"] = fmt.Sprintf("FROM %s\nLABEL revision=%d\nCOPY run.sh /run.sh\nCMD [\"sh\", \"/run.sh\"]\n", v.base, v.n)
	files["app/run.sh"] = script
	files["ops/prepare.sh"], files["ops/migrate.sh"] = "#!/bin/sh\n"+prepare, "#!/bin/sh\n"+migrate
	return files
}

func (v *verdictHost) composeFile() string {
	grace := fmt.Sprintf("%.0fs", v.grace.Seconds())
	idle := `command: [sh, -c, "trap '' TERM; while :; do sleep 1; done"]`
	service := func(name, rest string) string {
		return fmt.Sprintf("  %s:\n    image: %s\n    stop_grace_period: %s\n    restart: unless-stopped\n    labels: {edition: \"%d\"}\n%s", name, v.base, grace, v.editions[name], rest)
	}
	text := fmt.Sprintf("name: %s\nservices:\n", v.project)
	text += strings.Replace(service("app", fmt.Sprintf("    build: {context: app}\n    init: false\n    scale: %d\n    networks: [default, shared]\n", v.replicas)+
		"    healthcheck: {test: [CMD, test, -e, /tmp/healthy], interval: 400ms, timeout: 5s, retries: 200}\n"), v.base, v.project+"-app", 1)
	text += strings.Replace(service("worker", "    networks: [shared]\n"), v.base, v.project+"-app", 1) // the name of app's image
	text += service("gate", "    "+idle+"\n    volumes: [\"./gate:/gate:ro\"]\n")
	text += service("side", "    init: true\n    command: [sleep, \"1000000\"]\n    network_mode: \"service:gate\"\n")
	text += strings.Replace(service("job", "    command: [\"true\"]\n"), "restart: unless-stopped", `restart: "no"`, 1)
	if v.old {
		text += service("old", "    init: true\n    command: [sleep, \"1000000\"]\n")
	}
	return text + fmt.Sprintf("networks: {shared: {name: %s-shared}}\n", v.project)
}

func (v *verdictHost) extraFile() string {
	return fmt.Sprintf("name: %[1]s-extra\nservices:\n  ext:\n    image: %[2]s\n    init: true\n    stop_grace_period: 1s\n    command: [sleep, \"1000000\"]\n    networks: [shared]\n"+
		"networks: {shared: {name: %[1]s-shared, external: true}}\n", v.project, v.base)
}

func (v *verdictHost) landfall(c verdictCase) string {
	verb := "recreate"
	if c.phase == "up" {
		verb = "up"
	}
	deadline := "20s"
	if (c.phase == "verify" && c.disturbance == "deadline") || c.phase == "rolling back" {
		deadline = "3s"
	}
	flags, actions := "", ""
	for _, name := range []string{"worker", "gate", "job", "old"} {
		if name != "old" || v.old {
			flags += fmt.Sprintf("  %[1]s: {paths: [\"%[1]s/**\"], actions: [%[1]s]}\n", name)
			actions += fmt.Sprintf("  %[2]s: [{up: {stack: %[1]s, services: [%[2]s], no_deps: true, force_recreate: %[3]t}}]\n", v.stack, name, name == "job")
		}
	}
	return fmt.Sprintf(`version: 1
project: verdicts
stacks: {%[1]s: {files: [compose.yml]}, extra: {files: [extra/compose.yml]}}
migrate: {script: ops/migrate.sh}
flags:
  app: {paths: ["app/**"], actions: [app]}
%[2]sactions:
  app: [{script: ops/prepare.sh}, {build: {stack: %[1]s, services: [app]}}, {%[3]s: {stack: %[1]s, services: [app], no_deps: true}}]
%[4]sverify: {deadline: %[5]s, soak: 2s, probes: {up: {containers: {}}}}
`, v.stack, flags, verb, actions, deadline)
}

// yaml is what the agent of a case is told.
func (v *verdictHost) yaml(c verdictCase) []string {
	up, fetch := "1m", "1m"
	if c.slowDeadline() {
		up = "7s"
	}
	if c.phase == "prove" && c.disturbance == "deadline" {
		fetch = "2s"
	}
	quiet := "20s"
	if c.disturbance == "deadline" && (c.phase == "build" || c.phase == "migrate") {
		quiet = "3s"
	}
	migrate := "1m"
	if c.disturbance == "deadline" && c.phase == "migrate" {
		migrate = "3s"
	}
	return []string{fmt.Sprintf("deadlines: {up: %s, fetch: %s, no_progress: %s, migrate: %s}", up, fetch, quiet, migrate)}
}

// moment tells when the phase of a case begins, and how long it lasts about.
func (v *verdictHost) moment(c verdictCase) (is func(*landfallv1.Event) bool, lasts time.Duration) {
	starts := func(prefix string) func(*landfallv1.Event) bool {
		return func(e *landfallv1.Event) bool { return strings.HasPrefix(e.GetStepStarted().GetStepId(), prefix) }
	}
	switch c.phase {
	case "prove":
		return starts("prove/"), 700 * time.Millisecond
	case "build":
		return starts("build/app"), 2 * time.Second
	case "migrate":
		return starts("migrate/"), time.Second
	case "recreate", "up":
		return starts("apply/app"), v.grace + 2*time.Second
	case "verify":
		return starts("verify/probes"), 2 * time.Second
	case "soak":
		return starts("verify/soak"), 2 * time.Second
	default:
		return starts("rollback/"), v.grace + 3*time.Second
	}
}

// disturbed disturbs one deploy, waits for its end and for whatever the engine may still have been asked for, and looks.
func (v *verdictHost) disturbed(t *testing.T, c verdictCase) {
	defer v.in(t)()
	if c.stopped {
		v.docker("stop", "--time", "0", v.project+"-worker-1")
	}
	before := v.truth()
	sha := v.push(c.String(), v.files(c))
	want := maps.Clone(v.editions)
	v.startAgent(v.yaml(c)...)
	goOn := func() {}
	if c.phase == "prove" && c.disturbance == "deadline" {
		goOn = v.stallOrigin()
	}
	started := v.count("operation started")
	run := v.background("deployer", "run", "--no-gate", "--sha", sha)
	v.await("the operation is recorded", func() bool { return v.count("operation started") > started })
	if c.disturbance != "deadline" {
		is, lasts := v.moment(c)
		v.happens(c.String(), is)
		pause(time.Duration(c.late * float64(lasts)))
		v.disturb(c)
		if c.engineEnded() && c.phase == "prove" {
			before.containers = v.truth().containers // what the engine has not brought up again was down before the deploy looked
		}
	}
	op := v.ended(150 * time.Second)
	_ = run.Wait() // its exit code is judged
	goOn()
	pause(v.mayTake(op))
	now := v.truth()
	t.Logf("%s: %s in %s; %s: %s", op.ID, op.State, op.Ended.Sub(op.Created).Round(100*time.Millisecond), op.Failure.Reason, op.Failure.Message)
	v.judge(c, before, now, op, sha, want)
	if code, want := run.ProcessState.ExitCode(), map[string]int{"SUCCEEDED": 0, "FAILED_UNTOUCHED": 1, "CANCELLED": 1, "ROLLED_BACK": 4, "ROLLBACK_FAILED": 5, "FAILED": 5}[op.State]; code != want {
		t.Errorf("%s: exit code %d, want %d", op.State, code, want)
	}
	v.gapless(op.ID)
	v.mend(c, op)
	v.stopAgent()
}

// disturb does to the deploy what the case says.
func (v *verdictHost) disturb(c verdictCase) {
	v.t.Helper()
	switch c.disturbance {
	case "cancel":
		v.coordinate("deployer", "cancel", "--detach") // refused once it is rolled back, or has ended
	case "child killed":
		v.killChildren()
	case "agent killed", "both killed":
		v.kill()
		if c.disturbance == "both killed" {
			v.killChildren()
		}
		v.startAgent(v.yaml(c)...)
	case "engine restarted", "engine killed":
		v.engine.t = v.t
		v.engine.end(map[string]syscall.Signal{"engine restarted": syscall.SIGTERM, "engine killed": syscall.SIGKILL}[c.disturbance])
		v.engine.start()
	}
}

// engineEnded reports whether everything was started anew by somebody else than the agent.
func (c verdictCase) engineEnded() bool { return slices.Contains(engineDisturbances, c.disturbance) }

// killChildren kills what the agent has started for the operation, as the kernel does that runs out of memory.
func (v *verdictHost) killChildren() {
	v.t.Helper()
	for _, line := range v.children() {
		if pid, err := strconv.Atoi(strings.Fields(line)[0]); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
	}
}

// mayTake is how long something that the operation asked for may still be under way.
func (v *verdictHost) mayTake(op record) time.Duration {
	for _, s := range op.States {
		if s.State == "OPERATION_STATE_APPLYING" {
			return v.grace + 2*time.Second
		}
	}
	return 2 * time.Second
}

// judge holds the host to what the state says.
func (v *verdictHost) judge(c verdictCase, before, now truth, op record, sha string, editions map[string]int) {
	v.t.Helper()
	lie := func(format string, args ...any) {
		v.t.Helper()
		v.t.Errorf("%s says what is not so (%s; grace %s, %d replicas): %s", op.State, c, v.grace, v.replicas, fmt.Sprintf(format, args...))
	}
	differences := before.differences(now)
	blocked := slices.Contains(now.blocked, sha)
	switch op.State {
	case "SUCCEEDED":
		for _, wrong := range v.notNew(before, now, sha, editions) {
			lie("%s", wrong)
		}
	case "ROLLED_BACK":
		for _, d := range differences {
			lie("%s", d)
		}
		if cancelled := op.Failure.Reason == "CANCELLED"; blocked == cancelled {
			lie("cancelled %v, and blocked are %v", cancelled, now.blocked)
		}
		if now.pause == "" {
			lie("convergence is not paused")
		}
	case "FAILED_UNTOUCHED", "CANCELLED":
		touched := before.touched(now)
		if c.engineEnded() { // what an engine does not bring up again is its own matter
			differences, touched = nil, before.replaced(now)
		}
		for _, d := range differences {
			lie("%s", d)
		}
		if len(touched) > 0 {
			lie("touched are %v", touched)
		}
		if !slices.Equal(now.blocked, before.blocked) || now.pause != before.pause {
			lie("blocked are %v, were %v; paused by %s, was %s", now.blocked, before.blocked, now.pause, before.pause)
		}
	case "ROLLBACK_FAILED", "FAILED":
		v.failed++
		if len(differences) == 0 {
			lie("everything is as it was: %s", op.Failure.Message)
		}
	default:
		lie("an operation does not end so")
	}
	if op.State != "ROLLBACK_FAILED" && op.State != "FAILED" {
		v.noLeftovers()
	}
}

func (v *verdictHost) noLeftovers() {
	v.t.Helper()
	for _, name := range v.docker("ps", "-a", "--filter", "name="+v.project, "--format", "{{.Names}}") {
		if leftoverName.MatchString(name) {
			v.t.Errorf("container %s is left over", name)
		}
	}
	if left := v.children(); len(left) > 0 {
		v.t.Errorf("processes of an operation are left: %v", left)
	}
}

// notNew lists what is not of the new version.
func (v *verdictHost) notNew(before, now truth, sha string, editions map[string]int) []string {
	var wrong []string
	add := func(is bool, format string, args ...any) {
		if !is {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	add(now.head == sha && now.branch == "main" && now.stamp == sha && now.dirty == "", "HEAD %s, branch %s, stamp %s, status %q", now.head, now.branch, now.stamp, now.dirty)
	add(len(now.blocked) == 0, "blocked are %v", now.blocked)
	app := now.containers[v.project+"/app"]
	add(len(app) == v.replicas && now.running(v.project+"/app") == v.replicas, "app has %d containers, %d run", len(app), now.running(v.project+"/app"))
	for _, a := range app {
		add(a.revision == fmt.Sprint(editions["app"]) && a.edition == fmt.Sprint(editions["app"]) && a.healthy, "app is %s, revision %s, healthy %v", a.as(), a.revision, a.healthy)
		add(a.image == now.names[v.project+"-app"], "app runs %s, its name means %s", a.image, now.names[v.project+"-app"])
	}
	for name, n := range editions {
		key := v.project + "/" + name
		if name == "app" {
			continue
		}
		if name == "old" && !v.old {
			add(len(now.containers[key]) == 0, "old has left, and has %d containers", len(now.containers[key]))
			continue
		}
		add(len(now.containers[key]) == 1, "%s has %d containers", name, len(now.containers[key]))
		for _, one := range now.containers[key] {
			add(one.edition == fmt.Sprint(n), "%s is of edition %s, want %d", name, one.edition, n)
			want := "running"
			if name == "job" {
				want = "exited (0)"
			}
			same := slices.ContainsFunc(before.containers[key], func(b seen) bool { return b.id == one.id && b.state == one.state })
			add(one.state == want || same, "%s is %s", name, one.state)
		}
	}
	for _, name := range []string{v.project + "/side", v.project + "-extra/ext"} {
		add(now.running(name) == before.running(name), "%s does not run", name)
		for _, one := range now.containers[name] {
			b := before.containers[name]
			add(len(b) == 1 && b[0].as() == one.as(), "%s is %s, was %v", name, one.as(), b)
		}
	}
	return wrong
}

// mend makes the host good for the next case.
func (v *verdictHost) mend(c verdictCase, op record) {
	v.t.Helper()
	if op.State == "ROLLBACK_FAILED" || op.State == "FAILED" {
		v.stopAgent()
		v.startAgent()
		v.deploys(v.push("mended", v.files(verdictCase{phase: "recreate"})), 0, "SUCCEEDED")
	}
	for _, name := range []string{"worker", "gate", "side", "extra-ext"} { // a person stopped it, or an engine did not bring it up again
		_, _ = v.try("start", v.project+"-"+name+"-1")
	}
	if len(v.blocked()) > 0 {
		v.coordinate("operator", "unblock").expect(v.t, 0)
	}
	if err := os.Remove(filepath.Join(v.state, "gitops-paused")); err != nil && !os.IsNotExist(err) {
		v.t.Fatal(err)
	}
}
