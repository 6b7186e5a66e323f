// Package host reads what the machine has left: disk space of the checkout and the state, free memory.
//
// It promises to change nothing. Start reading at [Gauge.Check].
package host

import (
	"context"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/strictyaml"
)

// Gauge holds the host to the limits of agent.yaml.
type Gauge struct {
	Dirs      []string // each on its own file system, or not
	MinFree   int64    // bytes
	MinMemory int64    // bytes available without swapping; 0 demands nothing
}

var _ ports.Gauge = Gauge{}

// Left is the least disk space of the folders and the available memory, in bytes; a memory of 0 is unknown.
func (g Gauge) Left() (diskFree, memoryAvailable uint64, err error) {
	for i, dir := range g.Dirs {
		free, err := DiskFree(dir)
		if err != nil {
			return 0, 0, err
		}
		if i == 0 || free < diskFree {
			diskFree = free
		}
	}
	memoryAvailable, _ = MemoryAvailable()
	return diskFree, memoryAvailable, nil
}

// Check implements ports.Gauge.
func (g Gauge) Check(context.Context) error {
	for _, dir := range g.Dirs {
		free, err := DiskFree(dir)
		if err != nil {
			return err
		}
		if free < uint64(g.MinFree) {
			return fault.New(fault.Failed, "DISK_LOW", "%s has %s free, limits.min_free_disk is %s", dir, strictyaml.ByteSize(free), strictyaml.ByteSize(g.MinFree)).
				WithHint("make room: docker system df shows what images take")
		}
	}
	available, known := MemoryAvailable()
	if known && available < uint64(g.MinMemory) {
		return fault.New(fault.Failed, "MEMORY_LOW", "%s of memory are available, limits.min_available_memory is %s", strictyaml.ByteSize(available), strictyaml.ByteSize(g.MinMemory)).
			WithHint("a build could take the host down; stop something first")
	}
	return nil
}
