/** Unpacks the page's script and starts it. */
const packed = Uint8Array.from(atob(document.getElementById("program").textContent), (sign) => sign.charCodeAt(0));
const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
const script = document.createElement("script");
script.type = "module";
script.textContent = await new Response(stream).text();
document.head.append(script);
