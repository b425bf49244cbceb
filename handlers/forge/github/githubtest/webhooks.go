package githubtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Delivery is one attempt to deliver a webhook.
type Delivery struct {
	ID           int64
	GUID         string // the same for each attempt
	Event        string
	Action       string
	AppID        int64
	Installation int64 // 0: none
	Repository   int64 // 0: none
	Redelivery   bool
	At           time.Time
	Duration     time.Duration
	Status       string // "OK", else what went wrong
	StatusCode   int    // 0: no answer
	Header       http.Header
	Payload      []byte
	Response     []byte

	url, secret string
}

// OK reports whether the receiver took it.
func (d Delivery) OK() bool { return d.StatusCode >= 200 && d.StatusCode < 300 }

// Deliveries lists every attempt that has ended, oldest first.
func (s *Server) Deliveries() []Delivery { return s.hooks.Ended() }

// HoldDeliveries keeps webhooks back until ReleaseDeliveries.
func (s *Server) HoldDeliveries() { s.hooks.Hold(true) }

// ReleaseDeliveries sends what was held back, last first if reversed: GitHub
// promises no order.
func (s *Server) ReleaseDeliveries(reversed bool) {
	if reversed {
		s.hooks.Reverse()
	}
	s.hooks.Hold(false)
}

// LoseDeliveries lets the next n deliveries fail without reaching the
// receiver; they are kept as failed and can be redelivered for three days.
func (s *Server) LoseDeliveries(n int) { s.hooks.Lose(n) }

// Deliver sends a payload to the app as it is, for an installation and a
// repository where they are not nil. A []byte is the body; anything else is
// marshalled. Nothing is held against GitHub's description.
func (s *Server) Deliver(app *App, i *Installation, r *Repo, event string, payload any) error {
	body, raw := payload.([]byte)
	if !raw {
		var err error
		if body, err = json.Marshal(payload); err != nil {
			return fmt.Errorf("payload of %s: %w", event, err)
		}
	}
	s.mu.Lock()
	defer s.unlock()
	s.queue(app, i, r, event, body)
	return nil
}

// emit sends an event of a repository to every app that has it installed, is
// subscribed and has the permission.
func (s *Server) emit(r *Repo, event string, sender *account, payload object) {
	for _, app := range s.apps {
		s.emitTo(app, r, event, sender, payload)
	}
}

// emitTo is emit for one app: what is done to a check, only its maker hears.
func (s *Server) emitTo(app *App, r *Repo, event string, sender *account, payload object) {
	for _, i := range app.installs {
		if !i.covers(r) || !slices.Contains(i.events, event) || !i.suspended.IsZero() || !grantsAny(i.permissions, eventPermission[event]) {
			continue
		}
		p := maps.Clone(payload)
		if p["repository"] == nil {
			p["repository"] = r.json()
		}
		p["sender"] = s.userJSON(sender)
		p["installation"] = object{"id": i.ID, "node_id": nodeID("IntegrationInstallation", i.ID)}
		if r.owner.org {
			p["organization"] = s.orgJSON(r.owner)
		}
		s.send(app, i, r, event, p)
	}
}

func (s *Server) send(app *App, i *Installation, r *Repo, event string, payload object) {
	body, err := json.Marshal(payload)
	if err != nil {
		s.log.Error("marshal webhook", "event", event, "err", err)
		return
	}
	if s.opts.Validator != nil {
		s.opts.Validator.CheckPayload(event, body)
	}
	s.queue(app, i, r, event, body)
}

func (s *Server) queue(app *App, i *Installation, r *Repo, event string, body []byte) {
	if app.HookURL == "" {
		return
	}
	var named struct{ Action string }
	_ = json.Unmarshal(body, &named) // a raw payload may be no object
	d := &Delivery{
		ID: s.id(), GUID: uuid.NewString(), Event: event, Action: named.Action, AppID: app.ID, Payload: body,
		url: app.HookURL, secret: app.HookSecret, Header: http.Header{},
	}
	if i != nil {
		d.Installation = i.ID
	}
	if r != nil {
		d.Repository = r.id
	}
	for k, v := range map[string]string{
		"Accept": "*/*", "Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/0000000", "X-GitHub-Delivery": d.GUID,
		"X-GitHub-Event": event, "X-GitHub-Hook-ID": strconv.FormatInt(app.ID, 10),
		"X-GitHub-Hook-Installation-Target-ID":   strconv.FormatInt(app.ID, 10),
		"X-GitHub-Hook-Installation-Target-Type": "integration",
	} {
		d.Header.Set(k, v)
	}
	if app.HookSecret != "" {
		d.Header.Set("X-Hub-Signature-256", Sign(app.HookSecret, body))
	}
	s.outgoing = append(s.outgoing, d)
}

// Sign is the value of X-Hub-Signature-256.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// The deliveries API: https://docs.github.com/rest/apps/webhooks

func (d Delivery) item() object {
	item := object{
		"id": d.ID, "guid": d.GUID, "delivered_at": stamp(d.At), "redelivery": d.Redelivery, "duration": d.Duration.Seconds(),
		"status": d.Status, "status_code": d.StatusCode, "event": d.Event, "action": nil, "installation_id": nil,
		"repository_id": nil, "throttled_at": nil,
	}
	if d.Action != "" {
		item["action"] = d.Action
	}
	if d.Installation != 0 {
		item["installation_id"] = d.Installation
	}
	if d.Repository != 0 {
		item["repository_id"] = d.Repository
	}
	return item
}

// recent lists the app's deliveries of the last three days, newest first.
func (c *call) recent() []Delivery {
	list := slices.DeleteFunc(c.s.hooks.Ended(), func(d Delivery) bool {
		return d.AppID != c.tok.app.ID || c.s.now().Sub(d.At) > 72*time.Hour
	})
	slices.SortStableFunc(list, func(a, b Delivery) int { return int(b.ID - a.ID) })
	return list
}

func (s *Server) listDeliveries(c *call) (answer, error) {
	list := c.recent()
	if cursor := c.query("cursor"); cursor != "" {
		after, err := strconv.ParseInt(cursor, 10, 64)
		if err != nil {
			return answer{}, &apiError{status: http.StatusBadRequest, message: "Invalid cursor"}
		}
		list = slices.DeleteFunc(list, func(d Delivery) bool { return d.ID >= after })
	}
	if status := c.query("status"); status != "" {
		list = slices.DeleteFunc(list, func(d Delivery) bool { return d.OK() != (status == "success") })
	}
	header := http.Header{}
	if size := c.perPage(); len(list) > size {
		list = list[:size]
		header.Set("Link", fmt.Sprintf(`<%s/app/hook/deliveries?per_page=%d&cursor=%d>; rel="next"`, s.API, size, list[size-1].ID))
	}
	items := []any{}
	for _, d := range list {
		items = append(items, d.item())
	}
	return answer{status: http.StatusOK, body: items, header: header}, nil
}

func (c *call) delivery() (Delivery, error) {
	for _, d := range c.recent() {
		if d.ID == c.number("delivery_id") {
			return d, nil
		}
	}
	return Delivery{}, errNotFound
}

func (s *Server) getDelivery(c *call) (answer, error) {
	d, err := c.delivery()
	if err != nil {
		return answer{}, err
	}
	headers, payload := object{}, object{}
	for k := range d.Header {
		headers[k] = d.Header.Get(k)
	}
	if err := json.Unmarshal(d.Payload, &payload); err != nil {
		return answer{}, err
	}
	item := d.item()
	item["url"] = d.url
	item["request"] = object{"headers": headers, "payload": payload}
	item["response"] = object{"headers": object{}, "payload": string(d.Response)}
	return ok(item)
}

// redeliver sends the same payload and GUID again, to where the webhook goes now.
func (s *Server) redeliver(c *call) (answer, error) {
	d, err := c.delivery()
	if err != nil {
		return answer{}, err
	}
	again := Delivery{
		ID: s.id(), GUID: d.GUID, Event: d.Event, Action: d.Action, AppID: d.AppID, Installation: d.Installation,
		Repository: d.Repository, Redelivery: true, Payload: d.Payload, Header: d.Header.Clone(),
		url: c.tok.app.HookURL, secret: c.tok.app.HookSecret,
	}
	again.Header.Del("X-Hub-Signature-256")
	if again.secret != "" {
		again.Header.Set("X-Hub-Signature-256", Sign(again.secret, again.Payload))
	}
	s.outgoing = append(s.outgoing, &again)
	return answer{status: http.StatusAccepted, body: object{}}, nil
}
