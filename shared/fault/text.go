package fault

import "fmt"

// MarshalText writes the kind's name, so that a stored kind survives a new kind in between.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a name that MarshalText wrote.
func (k *Kind) UnmarshalText(text []byte) error {
	for _, known := range Kinds() {
		if known.String() == string(text) {
			*k = known
			return nil
		}
	}
	return fmt.Errorf("unknown kind %q", text)
}
