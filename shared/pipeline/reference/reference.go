// Package reference embeds the complete reference configuration beside its JSON Schema.
//
// It promises that both are the bytes of the files that users read. Start reading at
// landfall.yaml: it documents every key by using it.
package reference

import _ "embed"

// Name is what the configuration file is called in the deployed repository.
const Name = "landfall.yaml"

//go:embed landfall.yaml
var config []byte

//go:embed landfall.schema.json
var schema []byte

// Config returns a copy of the reference landfall.yaml.
func Config() []byte { return append([]byte(nil), config...) }

// Schema returns a copy of the JSON Schema (draft 2020-12) of landfall.yaml.
func Schema() []byte { return append([]byte(nil), schema...) }
