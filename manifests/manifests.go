// Package manifests holds what an installation is made from. The files speak
// for themselves; this puts into the binary those that it hands out.
package manifests

import _ "embed"

// GitHubApp is the manifest from which GitHub makes the app, with the reason
// for each permission.
//
//go:embed github-app.json
var GitHubApp []byte
