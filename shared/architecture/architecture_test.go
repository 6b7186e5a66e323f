// Package architecture_test keeps the rooms of this repository apart.
//
// The compiler already forbids coordinator and agent each other's internal packages; the
// rest of ARCHITECTURE.md's arrows is held here, by the imports of every package. A rule
// that fails says why it exists: move the code, or change the architecture on purpose, document
// and rule together. Start reading at [TestImports].
package architecture_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "ataraxis.dev/landfall/"

// pkg is one package of this module as `go list` tells it.
type pkg struct {
	ImportPath   string
	Name         string
	Dir          string
	Standard     bool
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
	Module       *struct{ Main bool }
}

// room is the package's path inside the module: "agent/internal/server".
func (p pkg) room() string { return strings.TrimPrefix(p.ImportPath, module) }

// in reports whether a room is one of the folders or lies below one.
func in(room string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return room == f || strings.HasPrefix(room, f+"/") })
}

// world is every package of this module, and what it depends on.
type world struct {
	ours     []pkg
	standard map[string]bool
}

// load asks the go command. It needs no network: whoever can run this test has the dependencies.
func load(t *testing.T) world {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps",
		"-json=ImportPath,Name,Dir,Standard,GoFiles,TestGoFiles,XTestGoFiles,Imports,Module", "./...")
	cmd.Dir = "../.."
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, errs.String())
	}
	w := world{standard: map[string]bool{}}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Standard {
			w.standard[p.ImportPath] = true
		}
		if p.Module != nil && p.Module.Main {
			w.ours = append(w.ours, p)
		}
	}
	if len(w.ours) < 20 {
		t.Fatalf("go list knows only %d packages of this module", len(w.ours))
	}
	return w
}

// rule says which imports a package must not have.
type rule struct {
	name   string
	broken func(w world, p pkg, imported string) bool
	why    string
}

// ours is the room of an import of this module, "" for any other.
func ours(imported string) string {
	if room, ok := strings.CutPrefix(imported, module); ok {
		return room
	}
	return ""
}

// stopsAt is a rule that a library or package is imported in some rooms only.
func stopsAt(prefix, why string, rooms ...string) rule {
	return rule{
		name: prefix + " stops at " + strings.Join(rooms, ", "), why: why,
		broken: func(_ world, p pkg, imported string) bool {
			return (imported == prefix || strings.HasPrefix(imported, prefix+"/")) && !in(p.room(), rooms...)
		},
	}
}

// domain are the rooms of what operations are and do, each of which may know those before it.
var domain = []string{
	"agent/internal/picture", "agent/internal/operation", "agent/internal/converge", "agent/internal/ports", "agent/internal/engine", "agent/internal/flow",
	"agent/internal/tick",
}

// adapter reports whether a room of the agent implements or uses the domain's interfaces,
// without being the one that puts them together, or the host in memory.
func (w world) adapter(room string) bool {
	if !in(room, "agent/internal") || in(room, domain...) || in(room, "agent/internal/cli", "agent/internal/hosttest") {
		return false
	}
	i := slices.IndexFunc(w.ours, func(p pkg) bool { return p.room() == room })
	return i >= 0 && slices.Contains(w.ours[i].Imports, module+"agent/internal/ports")
}

// fixture reports whether a room is made for tests: it imports package testing.
func (w world) fixture(room string) bool {
	i := slices.IndexFunc(w.ours, func(p pkg) bool { return p.room() == room })
	return i >= 0 && slices.Contains(w.ours[i].Imports, "testing")
}

// feature reports whether a room is one of the coordinator's besides the command line.
func feature(room string) bool {
	return in(room, "coordinator/internal") && !in(room, "coordinator/internal/cli")
}

var rules = []rule{
	{
		name: "coordinator and agent never import each other",
		why:  "they are built, released and restarted apart and meet on the wire only; what both need belongs to shared or proto",
		broken: func(_ world, p pkg, imported string) bool {
			return (in(p.room(), "coordinator") && in(ours(imported), "agent")) || (in(p.room(), "agent") && in(ours(imported), "coordinator"))
		},
	},
	{
		name: "shared imports shared and proto only",
		why:  "a shelf that reaches into a program ties the other program to it",
		broken: func(_ world, p pkg, imported string) bool {
			return in(p.room(), "shared") && ours(imported) != "" && !in(ours(imported), "shared", "proto")
		},
	},
	{
		name: "proto imports nothing of ours",
		why:  "the protocol is generated and stands alone, so that any client can use it",
		broken: func(_ world, p pkg, imported string) bool {
			return in(p.room(), "proto") && ours(imported) != ""
		},
	},
	{
		name: "the domain knows no adapter, wire or disk",
		why:  "its rules can be read and tested without a host because it imports the standard library, shared/pipeline, shared/fault and hclog only; put an interface into ports and its implementation into an adapter",
		broken: func(w world, p pkg, imported string) bool {
			return slices.Contains(domain, p.room()) && !w.standard[imported] && !slices.Contains(domain, ours(imported)) &&
				!slices.Contains([]string{module + "shared/pipeline", module + "shared/fault", "github.com/hashicorp/go-hclog"}, imported)
		},
	},
	{
		name: "the domain's rooms know those before them only",
		why:  "arrows go from what operations do (flow) over what runs them (engine) and what they need (ports) to what they are (operation) and what they decide over (picture); one that goes back makes a knot",
		broken: func(_ world, p pkg, imported string) bool {
			from, to := slices.Index(domain, p.room()), slices.Index(domain, ours(imported))
			return from >= 0 && to >= from
		},
	},
	{
		name: "record, picture and convergence's decision are pure",
		why:  "what they decide is decided over what somebody else has seen: they read no clock, no disk and no network, and wait for nobody",
		broken: func(_ world, p pkg, imported string) bool {
			return in(p.room(), "agent/internal/picture", "agent/internal/operation", "agent/internal/converge") &&
				slices.Contains([]string{"context", "os", "os/exec", "io/fs", "net", "net/http", "sync", "github.com/hashicorp/go-hclog"}, imported)
		},
	},
	{
		name: "adapters do not know what operations do",
		why:  "an adapter that calls the engine or a flow decides something; only the agent's server and command line do that, for those who ask",
		broken: func(w world, p pkg, imported string) bool {
			return w.adapter(p.room()) && p.room() != "agent/internal/server" && in(ours(imported), "agent/internal/engine", "agent/internal/flow")
		},
	},
	{
		name: "the agent's adapters never import one another",
		why:  "each is replaced or tested without the others; what two of them share belongs to the domain's interfaces, and agent/internal/cli puts them together",
		broken: func(w world, p pkg, imported string) bool {
			return w.adapter(p.room()) && w.adapter(ours(imported))
		},
	},
	{
		name: "nothing imports a command line but its main",
		why:  "arrows go from the command line to the features; one that goes back makes a knot",
		broken: func(_ world, p pkg, imported string) bool {
			return in(ours(imported), "agent/internal/cli", "coordinator/internal/cli") && !strings.Contains(p.room(), "/cmd/")
		},
	},
	{
		name: "the coordinator's features never import one another",
		why:  "coordinator/internal/cli connects them; a feature that knows another cannot be read alone",
		broken: func(_ world, p pkg, imported string) bool {
			return feature(p.room()) && feature(ours(imported))
		},
	},
	{
		name: "main only exits",
		why:  "what main does cannot be tested; it belongs to the command line beside it",
		broken: func(w world, p pkg, imported string) bool {
			return strings.Contains(p.room(), "/cmd/") && imported != "os" && !strings.HasSuffix(imported, "/internal/cli") && ours(imported) != "shared/command"
		},
	},
	{
		name: "test fixtures stay in tests",
		why:  "a program that carries package testing has its flags and its weight",
		broken: func(w world, p pkg, imported string) bool {
			return w.fixture(ours(imported)) && !w.fixture(p.room())
		},
	},
	stopsAt(module+"proto",
		"wire types stop where the wire does, so that the rest does not change with it: the agent's server, the plan's conversion, the client of either side, "+
			"and the coordinator's console, which shows events as they came on purpose",
		"proto", "agent/internal/server", "agent/internal/cli", "shared/pipeline/planpb",
		"coordinator/internal/agentclient", "coordinator/internal/console", "coordinator/internal/cli"),
	stopsAt("github.com/docker",
		"docker's types stop at one package, so that the library's move to github.com/moby/moby stays a change of that package", "agent/internal/compose"),
	stopsAt("go.etcd.io/bbolt",
		"durability is promised in one place; everything else uses the Journal interface of agent/internal/ports", "agent/internal/journal"),
	stopsAt("github.com/google/go-github",
		"rate limits and ETags are handled once, for coordinator and agent", "shared/ci"),
	stopsAt("github.com/regclient/regclient",
		"what a registry may be asked, and how often, is decided in one place, which every request goes through", "agent/internal/registry"),
	stopsAt("github.com/google/go-containerregistry",
		"it serves a registry to tests; no program has it"),
	stopsAt("github.com/spf13/cobra",
		"a package that knows commands cannot be used without one", "shared/command", "agent/internal/cli", "coordinator/internal/cli"),
	stopsAt("os/exec",
		"shared/process promises that no child hangs, floods or outlives its caller; a child that is started otherwise has none of that",
		"shared/process", "shared/git/gittest", "scripts"),
}

func TestImports(t *testing.T) {
	t.Parallel()
	w := load(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, p := range w.ours {
				for _, imported := range p.Imports {
					if r.broken(w, p, imported) {
						t.Errorf("%s imports %s\nwhy not: %s", p.room(), imported, r.why)
					}
				}
			}
		})
	}
}

// The rules themselves must bite: each is shown an import that it forbids.
func TestRulesBite(t *testing.T) {
	t.Parallel()
	w := load(t)
	for _, c := range [][2]string{
		{"coordinator/internal/changes", module + "agent/internal/operation"},
		{"agent/internal/probe", module + "coordinator/internal/console"},
		{"shared/git", module + "agent/internal/checkout"},
		{"proto/landfall/v1", module + "shared/fault"},
		{"agent/internal/operation", "google.golang.org/grpc"},
		{"agent/internal/flow", module + "agent/internal/compose"},
		{"agent/internal/picture", module + "agent/internal/operation"},
		{"agent/internal/engine", module + "agent/internal/flow"},
		{"agent/internal/picture", "os"},
		{"agent/internal/probe", module + "agent/internal/flow"},
		{"agent/internal/operation", module + "shared/git"},
		{"agent/internal/server", module + "agent/internal/journal"},
		{"agent/internal/probe", module + "agent/internal/compose"},
		{"agent/internal/telling", module + "agent/internal/journal"},
		{"agent/internal/server", module + "agent/internal/telling"},
		{"agent/internal/telling", module + "agent/internal/flow"},
		{"shared/notify", module + "agent/internal/telling"},
		{"coordinator/internal/console", module + "coordinator/internal/cli"},
		{"coordinator/internal/changes", module + "coordinator/internal/agentclient"},
		{"agent/cmd/landfall-agent", module + "shared/fault"},
		{"agent/internal/cli", module + "agent/internal/hosttest"},
		{"agent/internal/journal", module + "proto/landfall/v1"},
		{"agent/internal/operation", "github.com/docker/docker/client"},
		{"agent/internal/gitops", "go.etcd.io/bbolt"},
		{"shared/cigate", "github.com/google/go-github/v60/github"},
		{"agent/internal/probe", "github.com/spf13/cobra"},
		{"agent/internal/compose", "os/exec"},
	} {
		p := pkg{ImportPath: module + c[0]}
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.broken(w, p, c[1]) }) {
			t.Errorf("no rule keeps %s from importing %s", c[0], c[1])
		}
	}
}

// emptyNames say nothing of what a package is for, so everything ends up in it.
var emptyNames = regexp.MustCompile(`^(utils?|helpers?|common|misc|base|lib|tools|stuff|shared|types|models?|managers?|data|info)$`)

func TestNames(t *testing.T) {
	t.Parallel()
	for _, p := range load(t).ours {
		if p.Name != "main" && (emptyNames.MatchString(p.Name) || emptyNames.MatchString(path.Base(p.room()))) {
			t.Errorf("package %s: name it after what it promises; a package for everything becomes one that everything imports", p.room())
		}
		if p.room() == "shared" {
			t.Error("there are Go files directly in shared: it is a shelf of packages, not a package")
		}
	}
}

// Every package says in its comment what it is for: it is where a newcomer starts.
func TestPackageComments(t *testing.T) {
	t.Parallel()
	for _, p := range load(t).ours {
		if in(p.room(), "proto") {
			continue // generated; the .proto files carry the comments
		}
		comment := commentOf(t, p)
		want := "Package " + strings.TrimSuffix(p.Name, "_test")
		if p.Name == "main" {
			want = "Command " + path.Base(p.room())
		}
		first, _, _ := strings.Cut(comment, "\n\n")
		first = strings.Join(strings.Fields(first), " ")
		switch {
		case !strings.HasPrefix(first, want):
			t.Errorf("%s: the package comment must begin with %q and say what the package is for, promises, and where to start reading; it is %q", p.room(), want, first)
		case !strings.HasSuffix(first, "."):
			t.Errorf("%s: the package comment's first paragraph is no sentence: %q", p.room(), first)
		case len(p.GoFiles) > 2 && !strings.Contains(strings.ToLower(comment), "start"):
			t.Errorf("%s: the package comment does not say where to start reading", p.room())
		}
	}
}

// commentOf is the package comment, of the tests where there is nothing else.
func commentOf(t *testing.T, p pkg) string {
	t.Helper()
	files := p.GoFiles
	if len(files) == 0 {
		files = append(slices.Clone(p.TestGoFiles), p.XTestGoFiles...)
	}
	var found []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if file.Doc != nil {
			found = append(found, file.Doc.Text())
		}
	}
	if len(found) > 1 {
		t.Errorf("%s: %d files have a package comment; go doc would glue them together", p.room(), len(found))
	}
	return strings.Join(found, "")
}

const (
	// mostLines is where a file stops being one thing.
	mostLines = 420
	// mostMethods is where a port asks for more than one thing.
	mostMethods = 5
)

func TestFilesAreOfAReadableSize(t *testing.T) {
	t.Parallel()
	for _, p := range load(t).ours {
		for _, name := range p.GoFiles {
			if strings.HasSuffix(name, ".pb.go") {
				continue
			}
			raw, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if lines := bytes.Count(raw, []byte("\n")); lines > mostLines {
				t.Errorf("%s/%s has %d lines: a file is named after the one thing in it, split it", p.room(), name, lines)
			}
		}
	}
}

// The domain's interfaces stay small enough to be faked by hand, with state.
func TestThePortsAreSmall(t *testing.T) {
	t.Parallel()
	for _, p := range load(t).ours {
		if p.room() != "agent/internal/ports" {
			continue
		}
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				if i, ok := spec.Type.(*ast.InterfaceType); ok && len(i.Methods.List) > mostMethods {
					t.Errorf("interface %s has %d methods: split it by who needs what", spec.Name.Name, len(i.Methods.List))
				}
				return true
			})
		}
	}
}
