// Package chat tells people what became of a build: one short message to
// Slack, DingTalk, WeCom, Feishu/Lark or by e-mail. It hides how each of them
// wants to be spoken to: its payload, its signature, what its markup makes of
// other people's text, and what its answers mean.
package chat
