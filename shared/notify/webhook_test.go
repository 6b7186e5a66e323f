package notify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

const (
	testID    = "1098765432109876543"
	testToken = "SECRET-token_SECRET-token_SECRET-token_SECRET-token_SECRET-token_SEC"
	testPath  = "/webhooks/" + testID + "/" + testToken
)

func TestParseWebhook(t *testing.T) {
	t.Parallel()
	v10 := "https://discord.com/api/v10" + testPath + "?wait=true"
	for raw, want := range map[string]string{
		"https://discord.com/api" + testPath:                                                  v10,
		"  https://discord.com/api" + testPath + "\n":                                         v10,
		"https://discord.com/api" + testPath + "/":                                            v10,
		"https://discord.com:443/api" + testPath:                                              v10,
		"https://DISCORD.com/api/v6" + testPath + "?wait=false":                               v10,
		"https://discordapp.com/api/v10" + testPath:                                           v10,
		"https://canary.discord.com/api" + testPath:                                           "https://canary.discord.com/api/v10" + testPath + "?wait=true",
		"https://ptb.discordapp.com/api" + testPath:                                           "https://ptb.discord.com/api/v10" + testPath + "?wait=true",
		"https://discord.com/api" + testPath + "?thread_id=1098765432109876544&with=anything": "https://discord.com/api/v10" + testPath + "?thread_id=1098765432109876544&wait=true",
		"http://127.0.0.1:8080/api" + testPath:                                                "http://127.0.0.1:8080/api/v10" + testPath + "?wait=true",
		"http://[::1]:8080/api" + testPath:                                                    "http://[::1]:8080/api/v10" + testPath + "?wait=true",
		"http://localhost:80/api/v9" + testPath:                                               "http://localhost:80/api/v10" + testPath + "?wait=true",
	} {
		hook, err := ParseWebhook(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		} else if got := hook.address(""); got != want {
			t.Errorf("%s\n got %s\nwant %s", raw, got, want)
		}
	}
	hook, err := ParseWebhook("https://discord.com/api" + testPath + "?thread_id=1098765432109876544")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hook.address("1200000000000000001"), "https://discord.com/api/v10"+testPath+"/messages/1200000000000000001?thread_id=1098765432109876544"; got != want {
		t.Errorf("edit: %s", got)
	}
}

func TestParseWebhookRefuses(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                                                               "it is empty",
		"https://discord.com/api%zz" + testPath:                          "it is no URL",
		"http://discord.com/api" + testPath:                              "it is not https",
		"ftp://discord.com/api" + testPath:                               "it is not https",
		"https://127.0.0.1/api" + testPath:                               "host is not Discord's",
		"http://10.0.0.1/api" + testPath:                                 "host is not Discord's",
		"https://discord.com.evil.example/api" + testPath:                "host is not Discord's",
		"https://evildiscord.com/api" + testPath:                         "host is not Discord's",
		"https://www.discord.com/api" + testPath:                         "host is not Discord's",
		"https://evil.example/discord.com/api" + testPath:                "host is not Discord's",
		"https://discord.com@evil.example/api" + testPath:                "user name",
		"https://u:p@discord.com/api" + testPath:                         "user name",
		"https://discord.com:8443/api" + testPath:                        "port",
		"https://discord.com/api" + testPath + "/slack":                  "/slack or /github",
		"https://discord.com/api" + testPath + "/github?wait=1":          "/slack or /github",
		"https://discord.com/api" + testPath + "/messages/1":             "path is not",
		"https://discord.com/api/webhooks/12/" + testToken:               "path is not",
		"https://discord.com/api/webhooks/" + testID + "/short":          "path is not",
		"https://discord.com/api/webhooks/" + testID + "%2F" + testToken: "path is not",
		"https://discord.com/api/../api" + testPath:                      "path is not",
		"https://discord.com/api" + testPath + "?thread_id=../messages":  "thread_id",
	} {
		_, err := ParseWebhook(raw)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", raw, err, want)
		} else if strings.Contains(err.Error(), testToken) || strings.Contains(err.Error(), testID) {
			t.Errorf("the error repeats the address: %v", err)
		}
	}
}

// No way to print a webhook prints what lets anybody post.
func TestWebhookIsNotPrinted(t *testing.T) {
	t.Parallel()
	hook, err := ParseWebhook("https://discord.com/api" + testPath)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(hook) //nolint:staticcheck // that it has nothing to show is the point
	if err != nil {
		t.Fatal(err)
	}
	client := NewClient(hook, Options{})
	for _, printed := range []string{
		string(raw), fmt.Sprint(hook), fmt.Sprintf("%v %+v %#v %s %q %d %x", hook, hook, hook, hook, hook, hook, hook),
		fmt.Sprintf("%v %+v %#v %d", &hook, &hook, []Webhook{hook}, struct{ hook Webhook }{hook}),
		fmt.Sprintf("%v %+v %#v", client, client, client), fmt.Sprintf("%#v", struct{ client *Client }{client}),
	} {
		if strings.Contains(printed, "SECRET") || strings.Contains(printed, testID) {
			t.Error(printed)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	address := "https://discord.com/api" + testPath
	for _, raw := range []string{address, address + "?thread_id=1", address + "/slack", " " + address + "/\n", "htps:/discord" + testPath} {
		if got := Secrets(raw); !slices.Contains(got, testToken) || !slices.Contains(got, strings.TrimSpace(raw)) {
			t.Errorf("%q: %q", raw, got)
		}
	}
	if got := Secrets("a/b"); got != nil {
		t.Errorf("masks %q", got)
	}
}
