package picture

import (
	"cmp"
	"slices"
	"time"
)

// Key is the identity of a service on a host. A stack of landfall.yaml is only a way to call Compose.
type Key struct {
	Project string `json:"project"`
	Service string `json:"service"`
}

func (k Key) String() string { return k.Project + "/" + k.Service }

// CompareKeys orders services by project and name.
func CompareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Service, b.Service))
}

// Container is one container, as the engine tells it.
type Container struct {
	Project   string        `json:"project"` // "" for one that Compose did not make
	Service   string        `json:"service"`
	ID        string        `json:"id"` // 64 hex digits
	Name      string        `json:"name,omitempty"`
	ImageID   string        `json:"image_id,omitempty"`  // "sha256:" and 64 hex digits
	Content   string        `json:"content,omitempty"`   // what its image holds, see [Picture.Contents]; "" where nobody knows
	ImageRef  string        `json:"image_ref,omitempty"` // the name it was created from: "shop-api", "postgres:16"
	Config    string        `json:"config,omitempty"`    // Compose's hash of the configuration it was created from
	Settings  string        `json:"settings,omitempty"`  // hash of what it was made with besides its image, whatever the commit; "" where nobody knows
	State     string        `json:"state"`               // "created", "running", "paused", "restarting", "removing", "exited", "dead"
	Health    string        `json:"health,omitempty"`    // "starting", "healthy", "unhealthy"; "" without a health check
	HealthLog string        `json:"-"`                   // last output of the health check, one line
	ExitCode  int           `json:"exit_code,omitempty"`
	OOMKilled bool          `json:"oom_killed,omitempty"`
	Restarts  int           `json:"restarts,omitempty"` // by the engine
	OneShot   bool          `json:"one_shot,omitempty"` // its restart policy lets it end
	Started   time.Time     `json:"started,omitzero"`
	Up        time.Duration `json:"-"`               // since Started while it runs, 0 else; negative when the clock was set back since
	Grace     time.Duration `json:"grace,omitempty"` // how long the engine waits for it to stop before it kills it

	Networks []Attachment `json:"networks,omitempty"` // in order of name
	Shares   []Share      `json:"shares,omitempty"`   // namespaces of other containers that it lives in
	Commits  []string     `json:"-"`                  // that its environment, labels and command name, sorted
	Volumes  []Mount      `json:"volumes,omitempty"`  // that it shows, in order of place
	Number   int          `json:"number,omitempty"`   // Compose's, among those of its service, from 1; 0 where it has none
	// Carrier says that it never runs, and stands where another stood to hand its volumes on; see [Carrier].
	Carrier bool `json:"carrier,omitempty"`
	Unseen  bool `json:"-"` // the engine lists it and does not tell of it: it may share namespaces that are not among these
	// Composer is the version of Compose that made it, "" where nobody knows.
	Composer string `json:"-"`
	// WorkingDir is the folder that Compose was called in when it made the container.
	WorkingDir string `json:"-"`
}

// Attachment is a container's place in a network.
type Attachment struct {
	Network string   `json:"network"`           // name
	Aliases []string `json:"aliases,omitempty"` // sorted, without those made of the container's own ID
}

// Share is a namespace of another container.
type Share struct {
	Namespace string `json:"namespace"` // "network", "pid", "ipc"
	Container string `json:"container"` // ID, 64 hex digits
}

// Key is the service that the container belongs to.
func (c Container) Key() Key { return Key{c.Project, c.Service} }

// Running reports whether it is meant to run: also between two starts by the engine, and while it is frozen.
func (c Container) Running() bool {
	return c.State == "running" || c.State == "restarting" || c.State == "paused"
}

// Dead reports whether the engine began to remove it and did not come to an end, because it was itself ended say: it can neither be started nor
// stopped, and stands for nothing; see [Picture.living].
func (c Container) Dead() bool { return c.State == "dead" || c.State == "removing" }

// Succeeded reports whether it has done what it was for, and ended.
func (c Container) Succeeded() bool {
	return c.OneShot && c.State == "exited" && c.ExitCode == 0 && !c.OOMKilled
}

// DefaultGrace is how long an engine waits for a container to stop that names no time of its own (docker stop, "Options").
const DefaultGrace = 10 * time.Second

// sameMaking reports whether two containers were made from the same configuration and the same content. What does not tell
// its configuration is like nothing.
func sameMaking(a, b Container) bool {
	return a.Config != "" && a.Config == b.Config && sameImage(a, b)
}

// sameNetworks reports whether two containers are in the same networks under the same names.
func sameNetworks(a, b Container) bool {
	return slices.EqualFunc(a.Networks, b.Networks, func(x, y Attachment) bool {
		return x.Network == y.Network && slices.Equal(x.Aliases, y.Aliases)
	})
}
