package chat

import (
	"strings"
	"time"
)

// Slack's incoming webhooks: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
// (payload and errors), https://docs.slack.dev/messaging/formatting-message-text
// (escaping) and https://docs.slack.dev/reference/block-kit/composition-objects/text-object
// (verbatim). 400, 403, 404 and 410 come with a word such as invalid_payload
// or channel_is_archived; 429 with Retry-After; one message a second.
type (
	slackMessage struct {
		Text   string       `json:"text"` // of the notification
		Blocks []slackBlock `json:"blocks"`
	}
	slackBlock struct {
		Type string    `json:"type"`
		Text slackText `json:"text"`
	}
	slackText struct {
		Type     string `json:"type"`
		Text     string `json:"text"` // at most 3,000 characters
		Verbatim bool   `json:"verbatim"`
	}
)

func slack(m message, to robot, _ time.Time) (string, any) {
	var b strings.Builder
	b.WriteString("*" + m.event + "* " + slackEscape(m.about))
	for _, f := range m.facts {
		b.WriteString("\n" + f.name + ": " + slackEscape(f.text))
	}
	b.WriteString("\nBuild: ")
	if m.url == "" {
		b.WriteString(slackEscape(m.build))
	} else {
		b.WriteString("<" + slackEscape(m.url) + "|" + slackEscape(m.build) + ">")
	}
	return to.url, slackMessage{
		Text: slackEscape(m.title()),
		// Verbatim: @channel, #general and addresses in names stay what they are.
		Blocks: []slackBlock{{Type: "section", Text: slackText{Type: "mrkdwn", Text: b.String(), Verbatim: true}}},
	}
}

// slackEscape replaces the three characters that Slack's markup is made of:
// <!channel> and <@U123> come out as they were written.
func slackEscape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
