// Package config is what people write: the build file of a repository
// (.registry-build.yml) and the server file of the operator. It hides YAML:
// the rest of the program sees checked values with their defaults filled in,
// and people see every problem of a file at once, each at its line and column
// with what to write instead.
//
// The package does not touch the network. ParseServer reads the environment
// and the files that ${env:NAME} and ${file:PATH} name; everything else is a
// pure function of the text.
package config
