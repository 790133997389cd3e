/** Unpacks the page's script and starts it, in browsers that can. */
if (typeof DecompressionStream === "undefined") {
  const why = "expected Chrome 103, Edge 103, Firefox 113, Safari 16.4 or a newer one";
  document.getElementById("page").textContent = `This page cannot be shown: this browser is too old; ${why}`;
} else {
  const program = atob(document.getElementById("program").textContent);
  const packed = Uint8Array.from(program, (sign) => sign.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const script = document.createElement("script");
  script.type = "module";
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}
