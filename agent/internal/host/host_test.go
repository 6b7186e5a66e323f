package host

import (
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

func TestGauge(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		gauge  Gauge
		reason string
		says   []string
	}{
		"enough":          {Gauge{Dirs: []string{dir, dir}, MinFree: 1, MinMemory: 1}, "", nil},
		"nothing asked":   {Gauge{}, "", nil},
		"disk low":        {Gauge{Dirs: []string{dir}, MinFree: math.MaxInt64}, "DISK_LOW", []string{dir, "limits.min_free_disk", "docker system df"}},
		"no such folder":  {Gauge{Dirs: []string{filepath.Join(dir, "missing")}}, "DISK_UNKNOWN", []string{"missing"}},
		"the second full": {Gauge{Dirs: []string{dir, filepath.Join(dir, "missing")}}, "DISK_UNKNOWN", nil},
	} {
		err := c.gauge.Check(t.Context())
		if fault.ReasonOf(err) != c.reason || (err != nil && fault.KindOf(err) != fault.Failed) {
			t.Errorf("%s: %v, want %q", name, err, c.reason)
		}
		for _, part := range c.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v does not say %q", name, err, part)
			}
		}
	}
}

func TestMemory(t *testing.T) {
	available, known := MemoryAvailable()
	if known != (runtime.GOOS == "linux") {
		t.Errorf("known %v on %s", known, runtime.GOOS)
	}
	err := Gauge{MinMemory: math.MaxInt64}.Check(t.Context())
	if !known {
		if err != nil {
			t.Errorf("unknown memory is too little: %v", err)
		}
		return
	}
	if available < 1<<20 || available > 1<<50 {
		t.Errorf("%d bytes are available", available)
	}
	if fault.ReasonOf(err) != "MEMORY_LOW" || fault.KindOf(err) != fault.Failed {
		t.Errorf("error %v", err)
	}
}
