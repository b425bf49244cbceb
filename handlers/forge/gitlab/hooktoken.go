package gitlab

// A scope is what a webhook that we made is for.
type scope struct {
	Kind  string // "project" or "group"
	ID    int    // of the project or group
	Probe bool   // only tried: what it delivers is taken and starts nothing
}

// hookToken is the token of a webhook that we made: it says what the webhook
// is for, and is signed with our secret, so that nothing has to be kept of it
// and the token of one project's webhook is good for that project only.
func hookToken(secret, instance string, s scope) string { return "" }
