package notify

import (
	"context"
	"encoding/json"
	"net/http"

	"ataraxis.dev/landfall/shared/fault"
)

// Place is where messages of a webhook appear.
type Place struct{ Guild, Channel string }

// Link is the address of one message (https://support.discord.com/hc/articles/206346498), "" where the place is not known.
func (p Place) Link(message string) string {
	if !snowflake.MatchString(p.Guild) || !snowflake.MatchString(p.Channel) || !snowflake.MatchString(message) {
		return ""
	}
	return "https://discord.com/channels/" + p.Guild + "/" + p.Channel + "/" + message
}

// Place asks Discord where the webhook posts. It asks once; it makes one attempt, because a link is worth no wait. Errors are those of
// [Client.Send].
func (c *Client) Place(ctx context.Context) (Place, error) {
	c.mu.Lock()
	known := c.at
	c.mu.Unlock()
	if known != (Place{}) {
		return known, nil
	}
	a := c.request(ctx, http.MethodGet, c.hook.self(), nil)
	if v := judge(a); v.err != nil {
		return Place{}, v.err
	}
	var found struct {
		Guild   string `json:"guild_id"`
		Channel string `json:"channel_id"`
	}
	if err := json.Unmarshal(a.body, &found); err != nil {
		return Place{}, fault.New(fault.Unreachable, reasonUnexpected, "what Discord says of the webhook cannot be read")
	}
	p := Place{Guild: found.Guild, Channel: found.Channel}
	if c.hook.at.thread != "" {
		p.Channel = c.hook.at.thread // a thread is a channel of its own
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = p
	return p, nil
}
