import { isIP } from 'node:net'

/** Which names a browser or tool may call this broker by. Empty lists add nothing to the built-in rules. */
export interface HttpAccessRules {
  /** Host names (no port) besides localhost, IP literals and the advertised host. */
  allowedHosts: readonly string[]
  /** Origins (`https://console.example`) of pages that may call the broker, besides its own. */
  allowedOrigins: readonly string[]
}

/**
 * Null if the request may go on, else why not. Two attacks of web pages on a developer's broker are closed here: DNS rebinding
 * (a foreign name that resolves to loopback: the Host is foreign) and cross-site requests (the Origin is foreign). A Host that is
 * an IP literal cannot be rebound; a missing Origin means that no page sent it.
 */
export function refuseHttpRequest(
  rules: HttpAccessRules,
  host: string | undefined,
  origin: string | undefined,
): string | null {
  if (host === undefined) return 'the request has no Host header'
  const name = hostNameOf(host)
  if (name === null) return `the Host header ${JSON.stringify(host)} is malformed`
  if (!isOwnName(rules, name)) {
    return `the host name ${JSON.stringify(name)} is not allowed; add it to http.allowed.hosts if it names this broker`
  }
  if (origin === undefined) return null
  if (rules.allowedOrigins.includes(origin)) return null
  const url = URL.canParse(origin) ? new URL(origin) : null
  if (url !== null && url.host === host.toLowerCase()) return null
  return `pages of origin ${JSON.stringify(origin)} may not call this broker; add it to http.allowed.origins to let them`
}

function isOwnName(rules: HttpAccessRules, name: string): boolean {
  return name === 'localhost' || isIP(name) !== 0 || rules.allowedHosts.includes(name)
}

/** The host without port and brackets, in lower case, or null. */
function hostNameOf(host: string): string | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?$/.exec(host)
  return match === null ? null : (match[1] ?? match[2]!).toLowerCase()
}
