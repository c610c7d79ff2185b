import { Socket } from 'node:net'

/** Variable with the address that a process is to connect from. */
export const OWN_ADDRESS = 'CHAOS_OWN_ADDRESS'

/** Where the onlooker connects from. */
export const OBSERVER_ADDRESS = '127.0.1.250'

/** All of 127/8 is this machine, so each node can have an address of its own to connect from. */
export function addressOfNode(id: number): string {
  return `127.0.1.${id}`
}

/**
 * From now on this process connects to loopback from `address`, so that who is reached can tell who it is: the kernel's tables tell it too,
 * but reading them for every connection took nine tenths of a processor when all clients tried again at once.
 */
export function connectFrom(address: string): void {
  const connect = Socket.prototype.connect as (this: Socket, ...args: unknown[]) => Socket
  function connectFromOwn(this: Socket, ...args: unknown[]): Socket {
    // `net.connect` hands its arguments over as one list, the options first.
    const [options] = Array.isArray(args[0]) ? args[0] : args
    if (typeof options === 'object' && options !== null && isLoopback(options)) options.localAddress ??= address
    return connect.apply(this, args)
  }
  Socket.prototype.connect = connectFromOwn as typeof Socket.prototype.connect
}

function isLoopback(options: { host?: unknown; port?: unknown; localAddress?: string }): boolean {
  return options.port !== undefined && (options.host === '127.0.0.1' || options.host === 'localhost')
}
