/**
 * Strongly connected components with more than one node (or with an edge to itself) of a directed graph: each holds a cycle, and no cycle
 * lies outside of them. Tarjan's algorithm without recursion, since histories are longer than any stack.
 */
export function strongComponents(edges: readonly (readonly number[])[]): number[][] {
  const count = edges.length
  const indexOf = new Int32Array(count).fill(-1)
  const lowOf = new Int32Array(count)
  const isOpen = new Uint8Array(count)
  const open: number[] = []
  const components: number[][] = []
  let nextIndex = 0

  for (let root = 0; root < count; root++) {
    if (indexOf[root] !== -1) continue
    // A frame is a node and how many of its edges were followed.
    const frames: { node: number; followed: number }[] = []
    enter(root, frames)
    while (frames.length > 0) {
      const frame = frames.at(-1)!
      const target = edges[frame.node]![frame.followed++]
      if (target !== undefined) {
        if (indexOf[target] === -1) enter(target, frames)
        else if (isOpen[target]) lowOf[frame.node] = Math.min(lowOf[frame.node]!, indexOf[target]!)
        continue
      }
      frames.pop()
      const parent = frames.at(-1)
      if (parent !== undefined) lowOf[parent.node] = Math.min(lowOf[parent.node]!, lowOf[frame.node]!)
      if (lowOf[frame.node] === indexOf[frame.node]) close(frame.node)
    }
  }
  return components

  function enter(node: number, frames: { node: number; followed: number }[]): void {
    indexOf[node] = nextIndex
    lowOf[node] = nextIndex
    nextIndex++
    open.push(node)
    isOpen[node] = 1
    frames.push({ node, followed: 0 })
  }

  function close(head: number): void {
    const component: number[] = []
    for (;;) {
      const node = open.pop()!
      isOpen[node] = 0
      component.push(node)
      if (node === head) break
    }
    if (component.length > 1 || edges[head]!.includes(head)) components.push(component)
  }
}
