import Glibc

/// The text of an error number, from strerror(3).
func errorText(_ number: Int32) -> String { String(cString: strerror(number)) }
