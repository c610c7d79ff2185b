import type { ChildProcess } from 'node:child_process'

const children = new Set<ChildProcess>()

/**
 * For a child that was spawned `detached`: Ctrl-C at the terminal does not reach it, so that whoever started it can end it in order. Should
 * this process end first, the child is killed.
 */
export function endWithParent(child: ChildProcess): void {
  if (children.size === 0) process.on('exit', killAll)
  children.add(child)
  child.once('close', () => {
    children.delete(child)
    if (children.size === 0) process.off('exit', killAll)
  })
}

function killAll(): void {
  for (const child of children) child.kill('SIGKILL')
}
