package telling

import (
	"context"
	"net/http"
	"sync"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/notify"
)

// Discord sends letters by a webhook of Discord. Make it with [NewDiscord].
//
// A new message goes out at most once: Discord knows no way to ask whether it has one whose answer was lost. What was certainly not taken (no
// connection, an error of Discord's, a limit) is tried again.
type Discord struct {
	read    func() (string, error)
	options notify.Options

	mu     sync.Mutex
	raw    string // the address as it was read
	hook   notify.Webhook
	client *notify.Client
	gone   error // Discord does not know the address any more: it is not asked again, which it punishes
}

// NewDiscord makes a sender. read reads the webhook's address; it is called before every letter, so that a new address needs no restart. Options
// are for tests.
func NewDiscord(read func() (string, error), o notify.Options) *Discord {
	o.Once = true
	if o.Transport == nil {
		// A connection that was idle may be closed by the other side while a request goes out, whose fate nobody knows then.
		o.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	}
	return &Discord{read: read, options: o}
}

// Name implements Sender.
func (d *Discord) Name() string { return "discord" }

// Once implements Sender.
func (d *Discord) Once() bool { return true }

// Ready implements Sender.
func (d *Discord) Ready() error {
	raw, err := d.read()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if raw == d.raw && d.client != nil {
		return d.gone
	}
	hook, err := notify.ParseWebhook(raw)
	if err != nil {
		return err
	}
	d.raw, d.hook, d.client, d.gone = raw, hook, notify.NewClient(hook, d.options), nil
	return nil
}

// Send implements Sender.
func (d *Discord) Send(ctx context.Context, p Parcel) Outcome {
	d.mu.Lock()
	hook, client := d.hook, d.client
	d.mu.Unlock()
	channel := hook.Channel()
	id := p.Filed(p.About, channel)
	if p.EditOnly && id == "" {
		return Outcome{Fate: Delivered} // there is no message that could say so
	}
	if !p.After.IsZero() && id != "" {
		return Outcome{Fate: Delivered} // whoever asked for it has told of it, and knows more than we do
	}
	earlier := ""
	if p.Follows != "" {
		if message := p.Filed(p.Follows, channel); message != "" {
			if place, err := client.Place(ctx); err == nil {
				earlier = place.Link(message)
			}
		}
	}
	var sent notify.Sent
	var err error
	if p.EditOnly {
		if sent, err = client.Edit(ctx, p.Said.message(p.story(earlier)), id); fault.KindOf(err) == fault.NotFound {
			return Outcome{Fate: Delivered} // somebody deleted it
		}
	} else {
		sent, err = client.Send(ctx, p.Said.message(p.story(earlier)), id)
	}
	wait := max(0, client.NotBefore().Sub(d.now()))
	if err == nil {
		return Outcome{Channel: channel, Message: sent.MessageID, Wait: wait}
	}
	o := Outcome{Fate: Later, Err: err, Wait: wait}
	switch fault.ReasonOf(err) {
	case notify.ReasonUnsure:
		o.Fate = Unsure
	case notify.ReasonRefused:
		o.Fate = Refused
	case notify.ReasonBanned:
		const ban = time.Hour
		o.Wait = max(wait, ban)
	case notify.ReasonGone:
		d.mu.Lock()
		d.gone = err
		d.mu.Unlock()
	}
	return o
}

func (d *Discord) now() time.Time {
	if d.options.Now != nil {
		return d.options.Now()
	}
	return time.Now()
}
