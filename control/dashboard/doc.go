// Package dashboard shows what an observer.Observer knows as a web page that is
// live, and lets who has the token act through it. It is an http.Handler; who
// listens is the caller's business.
//
// # Requests
//
//	GET  /                          the page; /app.js, /style.css, ... are its files
//	GET  /api/events                a stream of Server-Sent Events; each is an observer.View
//	GET  /api/state                 the first of them
//	GET  /api/session               {"actions": whether the token sent is the right one}
//	POST /api/phones/{phone}/trust  control.Device      * have the phone ask its owner
//	POST /api/phones/{phone}/reset  control.Device      * reset it over USB
//	POST /api/phones/{phone}/reopen control.Device      * have the daemon open it anew
//	GET  /metrics                   what Config.Metrics gives
//
// {phone} is what control.Hub.Find understands. An answer of 400 or more has a
// control.Error as body.
//
// # Who may do what
//
// Whoever can connect may look: the caller listens on a loopback address if that is
// to be this computer alone. A request with a star needs "Authorization: Bearer
// TOKEN"; without Config.Token there is none that is right. A browser sends that
// header for no other page's sake, and requests that other pages have it send are
// refused for their Origin and Sec-Fetch-Site, too.
//
// Host must be an address that the connection was made to, or a name that is known
// to be ours: else a foreign name whose owner lets it point here (DNS rebinding)
// would make its page one with ours.
//
// The page loads nothing from elsewhere, and its Content-Security-Policy forbids
// it to, as it does scripts and styles within the page. All that phones say of
// themselves is put into the page as text.
package dashboard
