package config

// Pattern matches names: exact, a glob (* also stands for slashes) or, between
// slashes, a regular expression over the whole name with named groups.
type Pattern struct{}

// TagSelector matches tags of a trigger.
type TagSelector struct{}

// Template is a text with ${variables}.
type Template struct{}
