package chat

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// DingTalk's custom robots: https://open.dingtalk.com/document/robots/custom-robot-access
// (payload, limit of 20 messages a minute) and
// https://open.dingtalk.com/document/robots/customize-robot-security-settings
// (signature).
type dingTalkMessage struct {
	Type     string           `json:"msgtype"`
	Markdown dingTalkMarkdown `json:"markdown"`
	At       dingTalkAt       `json:"at"` // who is called: nobody
}

type dingTalkMarkdown struct {
	Title string `json:"title"` // of the notification
	Text  string `json:"text"`
}

type dingTalkAt struct {
	All bool `json:"isAtAll"`
}

func dingTalk(m message, to robot, now time.Time) (string, any) {
	return dingTalkSigned(to, now), dingTalkMessage{
		Type:     "markdown",
		Markdown: dingTalkMarkdown{Title: plain(m.title()), Text: markdown(m, "\n\n")},
	}
}

// dingTalkSigned appends the time in milliseconds and the signature, the
// base64 of HMAC-SHA256 under the secret of the time, a line feed and the
// secret. The server takes times up to an hour off.
func dingTalkSigned(to robot, now time.Time) string {
	if to.secret == "" {
		return to.url
	}
	at := strconv.FormatInt(now.UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(to.secret))
	mac.Write([]byte(at + "\n" + to.secret))
	separator := "?"
	if strings.Contains(to.url, "?") {
		separator = "&"
	}
	return to.url + separator + "timestamp=" + at + "&sign=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func judgeDingTalk(body string) verdict {
	v := errCode(body)
	switch v.code {
	case -1: // the system is busy
		v.again = true
	case 130101, 410100: // more than 20 in a minute: nothing is taken for 10 minutes
		v.again, v.after = true, 10*time.Minute
	case 310000:
		v.hint = "look at the robot's security settings: the credential's secret must be the one shown there, this server's address among those allowed, or a keyword one that every message has, like Image"
	case 300001, 400101, 400102, 400106:
		v.hint = "the robot is gone or stopped; set the credential again with the url that the robot's settings show"
	}
	return v
}

// markdown is the message for services whose dialect of Markdown knows no
// documented escape. Emphasis is on our own words only.
func markdown(m message, lineBreak string) string {
	lines := []string{"**" + m.event + "** " + plain(m.about)}
	for _, f := range m.facts {
		lines = append(lines, f.name+": "+plain(f.text))
	}
	build := plain(m.build)
	if m.url != "" {
		build = "[" + build + "](" + m.url + ")"
	}
	return strings.Join(append(lines, "Build: "+build), lineBreak)
}

// plain replaces what markup and mentions are made of by look-alikes: a
// branch called <@all> or [here](https://…) shows nearly as it is written, and
// does nothing. An underscore is left: names are full of them, and the worst
// is a slanted word.
func plain(s string) string {
	return strings.NewReplacer(
		"<", "＜", ">", "＞", "@", "＠", "[", "［", "]", "］", "*", "＊", "`", "｀", "~", "～", "|", "｜", `\`, "＼", "&", "＆",
	).Replace(s)
}
