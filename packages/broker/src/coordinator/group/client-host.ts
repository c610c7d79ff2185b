import type { ConnectionContext } from '../../handlers/handler.ts'

/** Where a member is, as groups keep and tell it. The slash is how Java prints an address, and so what tools expect of a client host. */
export function clientHostOf({ clientAddress }: ConnectionContext): string {
  return `/${clientAddress}`
}

export function clientAddressOf(clientHost: string): string {
  return clientHost.slice(1)
}
