package compose

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/picture"
)

// harmless is what the keys are that give a service nothing beyond its container: what runs in it, how much it takes, whom it talks to over a
// network, and how it is called.
const harmless = ""

// serviceKeys are the keys of a service, by the rule of a policy that reads them (compose-go 2.9.1, schema/compose-spec.json). Those of
// picture.RuleMounts may break picture.RuleSocket, too.
var serviceKeys = map[string]string{
	"annotations": picture.RuleConfinement, "attach": harmless, "blkio_config": harmless, "build": picture.RuleMounts, "cap_add": picture.RuleCaps,
	"cap_drop": harmless, "cgroup": picture.RuleNamespaces, "cgroup_parent": picture.RuleConfinement, "command": harmless, "configs": picture.RuleMounts,
	"container_name": harmless, "cpu_count": harmless, "cpu_percent": harmless, "cpu_period": harmless, "cpu_quota": harmless, "cpu_rt_period": harmless,
	"cpu_rt_runtime": harmless, "cpu_shares": harmless, "cpus": harmless, "cpuset": harmless, "credential_spec": picture.RuleConfinement,
	"depends_on": harmless, "deploy": picture.RuleDevices, "develop": harmless, "device_cgroup_rules": picture.RuleDevices, "devices": picture.RuleDevices,
	"dns": harmless, "dns_opt": harmless, "dns_search": harmless, "domainname": harmless, "entrypoint": harmless, "env_file": picture.RuleMounts,
	"environment": harmless, "expose": harmless, "extends": harmless, "external_links": harmless, "extra_hosts": harmless, "gpus": picture.RuleDevices,
	"group_add": picture.RuleSocket, "healthcheck": harmless, "hostname": harmless, "image": picture.RuleDigest, "init": harmless, "ipc": picture.RuleNamespaces,
	"isolation": picture.RuleConfinement, "label_file": picture.RuleMounts, "labels": harmless, "links": harmless, "logging": harmless, "mac_address": harmless,
	"mem_limit": harmless, "mem_reservation": harmless, "mem_swappiness": harmless, "memswap_limit": harmless, "models": picture.RuleProviders,
	"network_mode": picture.RuleNamespaces, "networks": picture.RuleNamespaces, "oom_kill_disable": harmless, "oom_score_adj": harmless,
	"pid": picture.RuleNamespaces, "pids_limit": harmless, "platform": harmless, "ports": harmless, "post_start": picture.RulePrivileged,
	"pre_stop": picture.RulePrivileged, "privileged": picture.RulePrivileged, "profiles": harmless, "provider": picture.RuleProviders,
	"pull_policy": picture.RuleRegistries, "pull_refresh_after": harmless, "read_only": harmless, "restart": harmless, "runtime": picture.RuleConfinement,
	"scale": harmless, "secrets": picture.RuleMounts, "security_opt": picture.RuleConfinement, "shm_size": harmless, "stdin_open": harmless,
	"stop_grace_period": harmless, "stop_signal": harmless, "storage_opt": harmless, "sysctls": picture.RuleConfinement,
	"tmpfs": harmless, // its options say no more than a container's own root is: that is neither nodev nor nosuid
	"tty":   harmless, "ulimits": harmless, "use_api_socket": picture.RuleSocket, "user": harmless, "userns_mode": picture.RuleNamespaces,
	"uts": picture.RuleNamespaces, "volumes": picture.RuleMounts, "volumes_from": picture.RuleMounts, "working_dir": harmless,
}

// buildKeys are those of a service's build.
var buildKeys = map[string]string{
	"additional_contexts": picture.RuleMounts, "args": harmless, "cache_from": picture.RuleRegistries, "cache_to": picture.RuleMounts, "context": picture.RuleMounts,
	"dockerfile": picture.RuleMounts, "dockerfile_inline": harmless, "entitlements": picture.RulePrivileged, "extra_hosts": harmless, "isolation": picture.RuleConfinement,
	"labels": harmless, "network": picture.RuleNamespaces, "no_cache": harmless, "platforms": harmless, "privileged": picture.RulePrivileged,
	"provenance": harmless, "pull": harmless, "sbom": harmless, "secrets": picture.RuleMounts, "shm_size": harmless, "ssh": picture.RuleMounts, "tags": harmless,
	"target": harmless, "ulimits": harmless,
}

// hookKeys are those of post_start and pre_stop.
var hookKeys = map[string]string{
	"command": harmless, "environment": harmless, "privileged": picture.RulePrivileged, "user": harmless, "working_dir": harmless,
}

// mountKeys are those of an entry of volumes.
var mountKeys = map[string]string{
	"bind": harmless, "consistency": harmless, "image": harmless, "read_only": harmless, "source": picture.RuleMounts, "target": harmless, "tmpfs": harmless,
	"type": picture.RuleMounts, "volume": harmless,
}

// volumeKeys are those of a volume's definition.
var volumeKeys = map[string]string{
	"driver": picture.RuleMounts, "driver_opts": picture.RuleMounts, "external": picture.RuleMounts, "labels": harmless, "name": picture.RuleMounts,
}

// unknownKeys are the keys of an object that none of the known ones is, sorted. A newer Compose has more than we know, and what they do
// nobody here can tell.
func unknownKeys(raw []byte, known map[string]string) []string {
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
		return nil // no object; who reads it says so
	}
	maps.DeleteFunc(all, func(key string, _ json.RawMessage) bool {
		_, ok := known[key]
		return ok || strings.HasPrefix(key, "x-")
	})
	return slices.Sorted(maps.Keys(all))
}
