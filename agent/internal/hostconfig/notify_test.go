package hostconfig

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/strictyaml"
)

const (
	discordAddress = "https://discord.com/api/webhooks/1098765432109876543/TEST-token_TEST-token_TEST-token_TEST-token_TEST-token_TEST-token_TE"
	hookAddress    = "https://hooks.example.org/secret-path-of-the-hook"
	hookSecret     = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// secrets writes files into a folder of its own.
func secrets(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestNotifyIsRead(t *testing.T) {
	dir := secrets(t, map[string]string{"discord": discordAddress + "\n", "url": hookAddress, "key": hookSecret + "\n"})
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for _, form := range []string{dir + "/", "$CREDENTIALS_DIRECTORY/", "${CREDENTIALS_DIRECTORY}/", ""} {
		c, err := Parse("agent.yaml", []byte("checkout: /srv/x\nnotify:\n  discord: {webhook_file: \""+form+"discord\"}\n"+
			"  webhook: {url_file: \""+form+"url\", secret_file: \""+form+"key\"}\n  command: [/bin/sh, -c, \"cat\"]\n"))
		if err != nil {
			t.Fatalf("%q: %v", form, err)
		}
		if raw, err := c.Notify.Discord.WebhookFile.Read(); err != nil || raw != discordAddress {
			t.Errorf("%q: %q %v", form, raw, err)
		}
		if path, err := c.Notify.Webhook.SecretFile.Path(); err != nil || path != dir+"/key" || len(c.Notify.Command) != 3 {
			t.Errorf("%q: %q %v", form, path, err)
		}
	}
}

// Every mistake has its place, and no error what a file holds.
func TestMistakesInNotify(t *testing.T) {
	dir := secrets(t, map[string]string{
		"discord": discordAddress, "url": hookAddress, "key": hookSecret,
		"open": discordAddress, "written": discordAddress, "empty": " \n", "lines": "a\nb", "long": strings.Repeat("x", 5000),
		"elsewhere": "https://evil.example/api/webhooks/1098765432109876543/secret-token", "http": "http://hooks.example.org/secret-path", "short": "hunter2", "base64": "whsec_hunter2$$$$$$$$$$$$$$$$$$$$$$$$$$",
	})
	for name, mode := range map[string]os.FileMode{"open": 0o644, "written": 0o620} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("discord", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for name, c := range map[string]struct{ yaml, place, says string }{
		"nobody":             {"notify: {}", "2:9", "names nobody"},
		"an unknown key":     {"notify: {discrod: {webhook_file: x}}", "2:10", "discord"},
		"no file":            {"notify:\n  discord: {}", "3:12", "webhook_file"},
		"not there":          {"notify:\n  discord: {webhook_file: HERE/none}", "3:27", "no such file"},
		"relative":           {"notify:\n  discord: {webhook_file: etc/x}", "3:27", "neither a clean absolute path"},
		"not clean":          {"notify:\n  discord: {webhook_file: HERE/../x}", "3:27", "neither a clean absolute path"},
		"out of credentials": {"notify:\n  discord: {webhook_file: $CREDENTIALS_DIRECTORY/../x}", "3:27", "named by one word"},
		"a folder":           {"notify:\n  discord: {webhook_file: HERE}", "3:27", "no regular file"},
		"read by all":        {"notify:\n  discord: {webhook_file: HERE/open}", "3:27", "chmod o-r"},
		"written by others":  {"notify:\n  discord: {webhook_file: HERE/written}", "3:27", "chmod go-w"},
		"empty":              {"notify:\n  discord: {webhook_file: HERE/empty}", "3:27", "is empty"},
		"lines":              {"notify:\n  discord: {webhook_file: HERE/lines}", "3:27", "more than one line"},
		"long":               {"notify:\n  discord: {webhook_file: HERE/long}", "3:27", "more than the 4096 bytes"},
		"not Discord":        {"notify:\n  discord: {webhook_file: HERE/elsewhere}", "3:27", "its host is not Discord's"},
		"the key of another": {"notify:\n  webhook: {url_file: HERE/url, secret_file: HERE/short}", "", "fewer than 24"},
		"http":               {"notify:\n  webhook: {url_file: HERE/http, secret_file: HERE/key}", "3:23", "it is http, and not on this machine"},
		"no base64":          {"notify:\n  webhook: {url_file: HERE/url, secret_file: HERE/base64}", "", "not base64"},
		"no secret":          {"notify:\n  webhook: {url_file: HERE/url}", "3:12", "secret_file"},
		"a relative command": {"notify:\n  command: [apprise]", "3:12", "no"},
		"no such command":    {"notify:\n  command: [/nowhere/apprise]", "3:12", "no such file"},
		"no program":         {"notify:\n  command: [HERE/discord]", "3:12", "is no program"},
		"a shell line":       {"notify:\n  command: apprise -b x", "3:12", "list"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("agent.yaml", []byte("checkout: /srv/x\n"+strings.ReplaceAll(c.yaml, "HERE", dir)))
			var f *fault.Error
			var problems strictyaml.Problems
			if !errors.As(err, &f) && !errors.As(err, &problems) {
				t.Fatalf("accepted: %v", err)
			}
			if !strings.Contains(err.Error(), "agent.yaml:"+c.place) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("want %s, %q: %v", c.place, c.says, err)
			}
			for _, secret := range []string{"TEST-token", "secret-", "hunter2", "MfKQ", "evil.example", "hooks.example"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q is in %v", secret, err)
				}
			}
		})
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if _, err := SecretFile("discord").Read(); err == nil || !strings.Contains(err.Error(), "LoadCredential=discord:FILE") {
		t.Errorf("a credential of no unit: %v", err)
	}
}
