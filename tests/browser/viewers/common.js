// What every page here is told by its address: where Coverslip is, which slide, and a link's token if there is one.
// A DeepZoom client keeps the query of what it opens; others are lent an address with the token in front.
{
  const said = new URLSearchParams(location.search);
  const [base, sid, token] = ["base", "sid", "token"].map((name) => said.get(name) ?? "");
  const lent = token ? `${base}/t/${encodeURIComponent(token)}` : base;
  window.told = {
    dzi: `${base}/slides/${sid}.dzi${token && `?token=${encodeURIComponent(token)}`}`,
    slide: `${lent}/slides/${sid}`,
    image: `${lent}/iiif/3/${sid}`,
    manifest: `${lent}/iiif/presentation/3/slides/${sid}/manifest`,
  };
}
