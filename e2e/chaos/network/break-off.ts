import type { Socket } from 'node:net'

/** What Node's `resetAndDestroy` sets once all that was written has left and its end was told, just before it destroys the socket. */
interface Resettable extends Socket {
  resetAndClosing?: boolean
}

/**
 * Ends a connection by a reset, at once: what waits to be written is dropped. `resetAndDestroy` first tells the end (shutdown) and resets
 * when that is done. A socket that is destroyed in between, by an error or by its owner, is never closed: libuv refuses a reset while a
 * shutdown is under way (`uv_tcp_close_reset`, EINVAL), and Node has let go of the handle then, which keeps the process alive for ever.
 */
export function breakOff(socket: Resettable): void {
  const isEnding = socket.writableEnded && !socket.writableFinished
  if (!socket.destroyed && !socket.connecting && !isEnding) socket.resetAndClosing = true
  socket.destroy()
}
