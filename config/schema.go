package config

import _ "embed"

//go:embed schema.json
var schema string

// Schema is the JSON Schema (2020-12) of .registry-build.yml, for editors.
func Schema() string { return schema }
