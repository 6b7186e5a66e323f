package process_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/process"
)

func TestLookupOwnerIsUs(t *testing.T) {
	t.Parallel()
	owner, err := process.LookupOwner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if int(owner.UID) != os.Geteuid() || owner.Credential() != nil {
		t.Errorf("owner %+v, credential %v: want ourselves and no change of user", owner, owner.Credential())
	}
}

func TestLookupOwnerMissingPath(t *testing.T) {
	t.Parallel()
	_, err := process.LookupOwner(filepath.Join(t.TempDir(), "gone"))
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
}

// A number without an account is enough to run as.
func TestRunAsOwnerWithoutAccount(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("changing user needs root")
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 54321, 54322); err != nil {
		t.Fatal(err)
	}
	owner, err := process.LookupOwner(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner.Name != "" || owner.Home != "" {
		t.Errorf("owner %+v has an account", owner)
	}
	for flag, want := range map[string]string{"-u": "54321", "-G": "54322"} {
		result, err := process.Run(t.Context(), process.Cmd{
			Path: "id", Args: []string{flag}, Env: owner.Environ(), Credential: owner.Credential(), CaptureLimit: 100,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(result.Stdout)); got != want {
			t.Errorf("id %s = %s, want %s", flag, got, want)
		}
	}
}

// Changing user without being root says what to do.
func TestRunAsOtherNeedsRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may change user")
	}
	_, err := process.Run(t.Context(), process.Cmd{Path: "id", Credential: &process.Credential{UID: 1}})
	if !strings.Contains(err.Error(), "only root may run a child as user 1") {
		t.Errorf("got %v", err)
	}
}
