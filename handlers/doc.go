// Package handlers is what starts builds and shows them: the intake of
// webhooks, the API under /api/v1/, logs as server-sent events, and health. It
// hides HTTP from the rest: nothing below it knows a request. One table of
// routes (routes.go) is the map; handlers return errors, and one function
// writes them (error.go).
package handlers
