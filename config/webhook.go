package config

import (
	"errors"
	"net/mail"
	"net/url"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxAddressees is how many people one chat trigger writes to.
const maxAddressees = 20

func (r *reader) webhook(v *yaml.Node, by maker) *Webhook {
	w := &Webhook{}
	seen, ok := r.section(v, by.section+".webhook", fields{
		"url": func(v *yaml.Node) {
			s, ok := r.text(v, `"url"`)
			if !ok {
				return
			}
			if err := CheckWebhookURL(s); err != nil {
				r.errorf(v, "url: %s", err)
			}
			w.URL = s
		},
		"credential": func(v *yaml.Node) { w.Credential = r.credential(v) },
		"format": func(v *yaml.Node) {
			s, _ := r.oneOf(v, "format", string(FormatNative), string(FormatCloudEvents), string(FormatDockerHub))
			if w.Format = WebhookFormat(s); w.Format == FormatNative {
				w.Format = "" // said and not said are the same
			}
		},
	})
	if ok && seen["url"] == nil {
		r.errorf(v, `the webhook has no url; write webhook: {url: "https://…"}`)
	}
	return w
}

func (r *reader) chat(v *yaml.Node, by maker) *Chat {
	c := &Chat{}
	seen, ok := r.section(v, by.section+".chat", fields{
		"credential": func(v *yaml.Node) { c.Credential = r.credential(v) },
		"to": func(v *yaml.Node) {
			c.To = r.checkedList(v, "to", "[team@example.com]", checkMail)
			if len(c.To) > maxAddressees {
				r.errorf(v.Content[maxAddressees], "a trigger writes to at most %d addresses; a mailing list reaches more", maxAddressees)
			}
		},
	})
	if ok && seen["credential"] == nil {
		r.errorf(v, "the chat has no credential; write chat: {credential: NAME}, of kind chat-robot: it says which service takes the message")
	}
	return c
}

// checkMail reads an address as it is, without a name before it.
func checkMail(s string) error {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || len(s) > 254 || strings.ContainsFunc(s, isControl) {
		return errors.New("write an e-mail address and nothing else, like team@example.com")
	}
	return nil
}

// CheckWebhookURL says in one sentence why an address cannot be a webhook's.
// It never quotes the address: people put secrets into them. Whether the
// address may be reached is for the one who dials.
func CheckWebhookURL(s string) error {
	if strings.Contains(s, "${") {
		return errors.New("variables are not replaced in an address; the build is in the body of the request")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > 2048:
		return errors.New("the address is not valid; write https://host/path, at most 2048 characters")
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return errors.New("the address must begin with https:// (or http://, which anybody on the way can read) and a host")
	case u.User != nil:
		return errors.New("the address holds a user name or password, which everybody who reads the file can see; remove it and name a credential")
	case u.Fragment != "":
		return errors.New(`the address has a "#" part, which is never sent; remove it`)
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return errors.New("the port in the address is not one of 1 to 65535")
		}
	}
	return nil
}
