// What every page here is told by its address: where Coverslip is, which slide, and a link's token if there is one.
{
  const said = new URLSearchParams(location.search);
  const [base, sid, token] = ["base", "sid", "token"].map((name) => said.get(name) ?? "");
  window.told = {
    slide: `${base}/slides/${sid}`,
    image: `${base}/iiif/3/${sid}`,
    manifest: `${base}/iiif/presentation/3/slides/${sid}/manifest`,
    query: token && `?token=${encodeURIComponent(token)}`,
  };
}
