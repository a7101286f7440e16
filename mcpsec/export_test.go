package mcpsec

// SDKPackage is whom the guard lets call its middleware, so that a benchmark can
// do so itself.
var SDKPackage = &sdkPackage
