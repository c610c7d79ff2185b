/** An address as connections have it, so that the two can be compared; null for anything else. IPv6 may stand in brackets. */
export function canonicalAddress(address: string): string | null {
  const text = address.replace(/^::ffff:(?=\d+\.)/i, '')
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return URL.canParse(`http://${text}/`) ? text : null
  const url = `http://[${text.replace(/^\[|\]$/g, '')}]/`
  return text.includes(':') && URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : null
}
