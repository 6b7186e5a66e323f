package compose

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
)

var _ ports.Restorer = (*Compose)(nil)

// The labels that Compose gives what it makes.
const (
	labelPrefix  = "com.docker.compose."
	labelProject = labelPrefix + "project"
	labelService = labelPrefix + "service"
	labelOneOff  = labelPrefix + "oneoff" // "True" for `docker compose run`
	labelConfig  = labelPrefix + "config-hash"
	labelDir     = labelPrefix + "project.working_dir"
	labelNumber  = labelPrefix + "container-number"
	labelVersion = labelPrefix + "version" // of the Compose that made it
	labelReplace = labelPrefix + "replace" // of what a recreate made, for good; see leftover
)

// inspectors is how many containers are inspected side by side.
const inspectors = 8

// Look implements ports.Restorer.
func (c *Compose) Look(ctx context.Context, projects, refs []string, whole bool) (picture.Picture, error) {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	p := picture.Picture{Projects: slices.Clone(projects)}
	all, err := c.docker.ContainerList(look, container.ListOptions{All: true})
	if err != nil {
		return p, engineFault(err)
	}
	var ours, others []container.Summary
	for _, s := range all {
		if slices.Contains(projects, s.Labels[labelProject]) && s.Labels[labelOneOff] != "True" {
			ours = append(ours, s)
		} else {
			others = append(others, s)
		}
	}
	if p.Containers, err = c.inspectAll(look, ours); err != nil {
		return p, err
	}
	if p.Elsewhere, err = c.elsewhere(look, others, p.Containers, whole); err != nil {
		return p, err
	}
	resolveShares(&p)
	if p.Refs, err = c.meanings(look, append(refsOf(p.Containers), refs...)); err != nil {
		return p, err
	}
	c.fillContents(look, &p)
	if whole {
		if err := c.definitions(look, &p); err != nil {
			return p, err
		}
	}
	p.Sort()
	return p, nil
}

// inspectAll reads the details of containers; one that is gone meanwhile is left out.
func (c *Compose) inspectAll(ctx context.Context, list []container.Summary) ([]picture.Container, error) {
	details, errs := c.inspectEach(ctx, list)
	var found []picture.Container
	for i, d := range details {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if d != nil {
			found = append(found, *d)
		}
	}
	return found, nil
}

// inspectEach reads the details of containers, nil for one that is gone meanwhile.
func (c *Compose) inspectEach(ctx context.Context, list []container.Summary) ([]*picture.Container, []error) {
	details, errs := make([]*picture.Container, len(list)), make([]error, len(list))
	free := make(chan struct{}, inspectors)
	var group sync.WaitGroup
	for i, summary := range list {
		group.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			answer, err := c.docker.ContainerInspect(ctx, summary.ID)
			switch {
			case cerrdefs.IsNotFound(err):
			case err != nil:
				errs[i] = engineFault(err)
			default:
				of := containerOf(answer)
				of.Settings = settingsOf(answer, func(word string) bool { return c.words.commit(ctx, c.commits, word) })
				details[i] = &of
			}
		})
	}
	group.Wait()
	return details, errs
}

// containerOf reads the engine's answer, but for the settings.
func containerOf(a container.InspectResponse) picture.Container {
	c := picture.Container{ID: a.ID, Name: strings.TrimPrefix(a.Name, "/"), ImageID: a.Image, Content: manifestOfContainer(a), Restarts: a.RestartCount, Grace: picture.DefaultGrace, Commits: commitsOf(a)}
	if a.Config != nil {
		c.Project, c.Service, c.Config = a.Config.Labels[labelProject], a.Config.Labels[labelService], a.Config.Labels[labelConfig]
		c.ImageRef, c.WorkingDir, c.Composer = a.Config.Image, a.Config.Labels[labelDir], a.Config.Labels[labelVersion]
		c.Number, _ = strconv.Atoi(a.Config.Labels[labelNumber])
		c.Carrier = a.Config.Labels[labelCarrier] != ""
		if t := a.Config.StopTimeout; t != nil {
			c.Grace = time.Duration(*t) * time.Second
		}
	}
	if h := a.HostConfig; h != nil {
		c.OneShot = oneShot(string(h.RestartPolicy.Name))
		for _, mode := range []struct{ namespace, value string }{
			{"network", string(h.NetworkMode)}, {"pid", string(h.PidMode)}, {"ipc", string(h.IpcMode)},
		} {
			if owner, shared := strings.CutPrefix(mode.value, "container:"); shared {
				c.Shares = append(c.Shares, picture.Share{Namespace: mode.namespace, Container: owner})
			}
		}
	}
	if a.NetworkSettings != nil {
		for _, name := range slices.Sorted(maps.Keys(a.NetworkSettings.Networks)) {
			c.Networks = append(c.Networks, attachment(name, a.NetworkSettings.Networks[name], numbered(a)))
		}
	}
	c.Volumes = volumesOf(a.Mounts)
	stateOf(&c, a.State)
	return c
}

// volumesOf leaves out what is no volume.
func volumesOf(mounts []container.MountPoint) []picture.Mount {
	var found []picture.Mount
	for _, m := range mounts {
		if m.Type == mount.TypeVolume {
			found = append(found, picture.Mount{At: m.Destination, Volume: m.Name, ReadOnly: !m.RW})
		}
	}
	slices.SortFunc(found, func(a, b picture.Mount) int { return cmp.Compare(a.At, b.At) })
	return found
}

// attachment leaves out the aliases that are made of the container's own ID, and of its number among the service's: of two that are
// alike neither need have the other's.
func attachment(name string, settings *network.EndpointSettings, own func(alias string) bool) picture.Attachment {
	a := picture.Attachment{Network: name}
	if settings != nil {
		a.Aliases = slices.DeleteFunc(slices.Clone(settings.Aliases), own)
	}
	slices.Sort(a.Aliases)
	a.Aliases = slices.Compact(a.Aliases)
	return a
}

// numbered tells the aliases of a container that are its alone: the beginning of its ID, and PROJECT-SERVICE-NUMBER.
func numbered(a container.InspectResponse) func(alias string) bool {
	var names []string
	if a.Config != nil {
		l := a.Config.Labels
		for _, separator := range []string{"-", "_"} { // "_" with COMPOSE_COMPATIBILITY
			names = append(names, strings.Join([]string{l[labelProject], l[labelService], l[labelNumber]}, separator))
		}
	}
	return func(alias string) bool {
		return (len(alias) >= 12 && strings.HasPrefix(a.ID, alias)) || slices.Contains(names, alias)
	}
}

func stateOf(c *picture.Container, s *container.State) {
	if s == nil {
		return
	}
	c.State, c.ExitCode, c.OOMKilled = s.Status, s.ExitCode, s.OOMKilled
	if started, err := time.Parse(time.RFC3339Nano, s.StartedAt); err == nil && started.Year() > 1 {
		c.Started = started
		if s.Running {
			c.Up = time.Since(started)
		}
	}
	if h := s.Health; h != nil && h.Status != container.NoHealthcheck {
		c.Health = h.Status
		if len(h.Log) > 0 {
			c.HealthLog = strings.Join(strings.Fields(h.Log[len(h.Log)-1].Output), " ")
		}
	}
}

// elsewhere tells what is known of other containers; those whose namespaces ours live in are looked at closer, and all of them for whole: lists do
// not tell in whose namespaces they live. One that nobody can look at, because the engine is stuck with it, keeps nobody from deploying or going back.
func (c *Compose) elsewhere(ctx context.Context, list []container.Summary, ours []picture.Container, whole bool) ([]picture.Container, error) {
	var owners, others []container.Summary
	for _, s := range list {
		owner := slices.ContainsFunc(ours, func(o picture.Container) bool {
			return slices.ContainsFunc(o.Shares, func(share picture.Share) bool {
				return share.Container == s.ID || slices.Contains(s.Names, "/"+share.Container)
			})
		})
		if owner {
			owners = append(owners, s)
		} else {
			others = append(others, s)
		}
	}
	found, err := c.inspectAll(ctx, owners)
	if err != nil {
		return nil, err
	}
	details, errs := make([]*picture.Container, len(others)), make([]error, len(others))
	if whole {
		limited, cancel := context.WithTimeout(ctx, c.lookTimeout/4)
		defer cancel()
		details, errs = c.inspectEach(limited, others)
	}
	for i, s := range others {
		switch {
		case details[i] != nil:
			found = append(found, *details[i])
		case whole && errs[i] == nil: // it is gone
		default:
			listed := listedOf(s)
			listed.Unseen = whole
			found = append(found, listed)
		}
	}
	return found, ctx.Err()
}

// listedOf is what a list tells of a container.
func listedOf(s container.Summary) picture.Container {
	c := picture.Container{
		Project: s.Labels[labelProject], Service: s.Labels[labelService], ID: s.ID, Name: nameOf(s), State: s.State, WorkingDir: s.Labels[labelDir],
	}
	if owner, shared := strings.CutPrefix(s.HostConfig.NetworkMode, "container:"); shared {
		c.Shares = append(c.Shares, picture.Share{Namespace: "network", Container: owner})
	}
	if s.NetworkSettings != nil {
		for _, name := range slices.Sorted(maps.Keys(s.NetworkSettings.Networks)) {
			c.Networks = append(c.Networks, picture.Attachment{Network: name})
		}
	}
	return c
}

// resolveShares gives the owners of shared namespaces their IDs: Docker keeps them as they were given, which may be a name.
func resolveShares(p *picture.Picture) {
	ids := map[string]string{}
	for _, c := range slices.Concat(p.Containers, p.Elsewhere) {
		ids[c.Name] = c.ID
	}
	for _, list := range [][]picture.Container{p.Containers, p.Elsewhere} {
		for i := range list {
			for j, s := range list[i].Shares {
				if id, named := ids[s.Container]; named {
					list[i].Shares[j].Container = id
				}
			}
		}
	}
}

func refsOf(containers []picture.Container) []string {
	var refs []string
	for _, c := range containers {
		refs = append(refs, c.ImageRef)
	}
	return refs
}

// meanings tells what names of images mean; one that means nothing is left out.
func (c *Compose) meanings(ctx context.Context, refs []string) (map[string]string, error) {
	images, err := c.images(ctx, image.ListOptions{})
	if err != nil {
		return nil, engineFault(err)
	}
	by := map[string]string{}
	for _, i := range images {
		for _, tag := range i.RepoTags {
			by[tag] = i.ID
		}
	}
	found := map[string]string{}
	for _, ref := range refs {
		if id, means := by[familiar(ref)]; means {
			found[ref] = id
		}
	}
	return found, nil
}

// familiar is a name as the engine lists it: "shop-api" is "shop-api:latest", "docker.io/library/postgres:16" is "postgres:16".
func familiar(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	return reference.FamiliarString(reference.TagNameOnly(named))
}

// definitions reads the networks and volumes that the engine has.
func (c *Compose) definitions(ctx context.Context, p *picture.Picture) error {
	networks, err := c.docker.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return engineFault(err)
	}
	for _, n := range networks {
		spec := picture.NetworkSpec{
			Driver: n.Driver, Options: chosen(n.Options), Labels: own(n.Labels), Internal: n.Internal, Attachable: n.Attachable, IPv6: n.EnableIPv6,
			Hash: n.Labels[labelConfig],
		}
		for _, c := range n.IPAM.Config {
			spec.Subnets = append(spec.Subnets, c.Subnet)
		}
		slices.Sort(spec.Subnets)
		p.Networks = append(p.Networks, picture.Network{ID: n.ID, Name: n.Name, Project: n.Labels[labelProject], NetworkSpec: spec})
	}
	volumes, err := c.docker.VolumeList(ctx, volume.ListOptions{})
	if err != nil {
		return engineFault(err)
	}
	for _, v := range volumes.Volumes {
		spec := picture.VolumeSpec{Driver: v.Driver, Options: v.Options, Labels: own(v.Labels)}
		p.Volumes = append(p.Volumes, picture.Volume{Name: v.Name, Project: v.Labels[labelProject], VolumeSpec: spec, Leads: c.leads(spec)})
	}
	return nil
}

// leads is where the links of what a volume shows lead.
func (c *Compose) leads(v picture.VolumeSpec) []string {
	var found []string
	paths, _ := v.Backing()
	for _, path := range paths {
		found = append(found, tree{c.dir, c.dir}.onHost(path)...)
	}
	return found
}

// own leaves out the labels that Compose adds.
func own(labels map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range labels {
		if !strings.HasPrefix(key, labelPrefix) {
			kept[key] = value
		}
	}
	return kept
}

// chosen leaves out options that newer engines write down for every network.
func chosen(options map[string]string) map[string]string {
	kept := maps.Clone(options)
	delete(kept, "com.docker.network.enable_ipv4")
	delete(kept, "com.docker.network.enable_ipv6")
	return kept
}

// nameOf is the container's own name; further ones belong to links.
func nameOf(s container.Summary) string {
	if len(s.Names) == 0 {
		return ""
	}
	return strings.TrimPrefix(cmp.Or(slices.MinFunc(s.Names, func(a, b string) int { return strings.Count(a, "/") - strings.Count(b, "/") })), "/")
}
