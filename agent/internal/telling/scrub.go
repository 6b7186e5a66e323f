package telling

import "reflect"

// scrub takes secrets out of every text that v, a pointer, leads to.
func scrub(v any, redact func(string) string) { scrubValue(reflect.ValueOf(v), redact) }

func scrubValue(v reflect.Value, redact func(string) string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			scrubValue(v.Elem(), redact)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				scrubValue(v.Field(i), redact)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			scrubValue(v.Index(i), redact)
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString(redact(v.String()))
		}
	default:
	}
}
