// Package strictyaml decodes YAML into structs so that every mistake is reported at once with its place.
//
// Unknown and duplicate keys, wrong types, nulls, missing keys, several documents and
// syntax errors are all problems with file, line, column and the nearest valid name;
// nothing is guessed. Size, depth and alias expansion are bounded, so that hostile
// input costs little. Start reading at [Decode].
package strictyaml
