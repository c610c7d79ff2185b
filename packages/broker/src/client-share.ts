/** From this part of a bound on, each client address has a share of what is left. */
const FREE_SHARE = 0.5
/** It may hold one for every so many that are left to all. */
const LEFT_PER_HELD = 4

/**
 * How many more a client may add below a bound of which `used` are taken, `heldCount` of them by this client since half of them were. One
 * client alone gets to three fifths, and each further one to a fifth of what is left: whoever came first cannot keep others out. At
 * least one may be added while there is room at all.
 */
export function roomForClient(maxCount: number, used: number, heldCount: number): number {
  const left = maxCount - used
  if (used < maxCount * FREE_SHARE || left <= 0) return left
  return Math.min(left, Math.max(0, Math.floor(left / LEFT_PER_HELD) + 1 - heldCount))
}

/** Whether clients have shares by now. */
export function isShared(maxCount: number, used: number): boolean {
  return used >= maxCount * FREE_SHARE
}

/** Whose share it is: an IPv4 address, or the half of an IPv6 address that says which network: everybody has all of the other half. */
export function shareKeyOf(clientAddress: string): string {
  if (!clientAddress.includes(':')) return clientAddress
  if (clientAddress.includes('.')) return clientAddress.slice(clientAddress.lastIndexOf(':') + 1)
  const [head = '', tail] = clientAddress.split('::')
  const groups = head === '' ? [] : head.split(':')
  const tailGroups = tail === undefined || tail === '' ? [] : tail.split(':')
  while (tail !== undefined && groups.length + tailGroups.length < 8) groups.push('0')
  return [...groups, ...tailGroups].slice(0, 4).join(':')
}
